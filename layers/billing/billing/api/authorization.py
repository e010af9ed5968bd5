"""Who may call the billing API, and for which organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from billing.settings import jwt_organization_claim, runs_under_sam_local

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware


class NotYoursError(Exception):
    """The refusal of a caller that may not act for this organisation."""


def authorize(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Let nobody through that may not act for the organisation."""
    if not may_act(app):
        raise NotYoursError
    return next_middleware(app)


def may_act(app: APIGatewayHttpResolver) -> bool:
    """Let a token's caller reach its own organisation only; one that signs with AWS credentials, every one."""
    authorizer = app.current_event.request_context.authorizer
    claim = jwt_organization_claim()
    organization_id = app.context["_route_args"].get("organization_id")
    if claim:
        return organization_id is not None and bool(authorizer.jwt_claim.get(claim) == organization_id)
    # API Gateway lets nobody through unsigned; a template that forgot to ask for it must not open the API.
    return bool(authorizer.iam.user_arn) or runs_under_sam_local()
