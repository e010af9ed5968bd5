"""The query of a request: what every operation has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from billing.errors import InvalidRequestError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

# Not only a time: an hour whose key somebody wrote otherwise is in its place among the others, and may begin a page.
Cursor = Annotated[
    str | None,
    Query(
        max_length=1024,
        pattern=r"^\d{4}-",
        description="`next_cursor` of the page before, with the same range; the first page without it.",
    ),
]


def refuse_unknown_parameters(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Refuse a parameter that the operation does not have: misspelt, it would silently do nothing.

    Raises:
        InvalidRequestError: there is one; the error names it, and those that there are.
    """
    if "organization_id" in app.context["_route_args"]:
        known = [str(parameter.alias) for parameter in app.context["_route"].dependant.query_params]
        for name in app.current_event.query_string_parameters or {}:
            if name not in known:
                takes = f"takes {', '.join(known)}" if known else "takes none"
                raise InvalidRequestError(f"query.{name[:100]}", f"There is no such parameter: the operation {takes}")
    return next_middleware(app)
