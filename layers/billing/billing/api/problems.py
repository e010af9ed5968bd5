"""The billing API's responses to errors: problem details (RFC 9457), one for each error.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestValidationError,
    ResponseValidationError,
)
from pydantic import BaseModel

from billing.api.authorization import NotYoursError, may_act
from billing.api.models import TIME, TIME_RULE, Problem
from billing.errors import (
    AlreadySubscribedError,
    BillingError,
    InvalidRequestError,
    KeyReusedError,
    NotSubscribedError,
    StripeRefusedError,
    SubscriptionStateError,
    UnavailableError,
    UsageNotToldError,
)
from billing.tables.table import is_transient
from billing.telemetry import described, logger

PROBLEM = "application/problem+json"
RETRY_AFTER_SECONDS = 5
USAGE_RETRY_AFTER_SECONDS = 60

TITLES = {
    HTTPStatus.BAD_REQUEST: "The request cannot be read",
    HTTPStatus.FORBIDDEN: "Not this caller's organisation",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.CONFLICT: "Not in the subscription's present state",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body must be JSON",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request breaks a rule",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something is wrong on our side",
    HTTPStatus.BAD_GATEWAY: "Stripe refuses",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not possible at this moment",
}


# What may go wrong with an operation that changes something, beside what may with every one.
POST_PROBLEMS = (
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def answers(status: int, model: type[BaseModel], description: str, *errors: HTTPStatus) -> dict[str, Any]:
    """Return what a route is told of its responses: one success and the problems it may have.

    A response that is not as its model says is a defect of ours. Set for the whole resolver, Powertools would have its
    own schema of that in the OpenAPI document in place of a problem.
    """
    # 404: also an id with characters that no route takes.
    always = (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    problems: dict[int, Any] = {
        error.value: {"description": TITLES[error], "content": {PROBLEM: {"model": Problem}}}
        for error in sorted({*always, *errors})
    }
    success = {"description": description, "content": {"application/json": {"model": model}}}
    return {
        "responses": {status: success, **problems},
        "custom_response_validation_http_code": HTTPStatus.INTERNAL_SERVER_ERROR,
    }


class RefusedBodyError(Exception):
    """The refusal to read a body, with the status of the response."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def add_problems(app: APIGatewayHttpResolver) -> None:
    """Give every error that a route may raise its response."""
    for error_class, respond in (
        (RequestValidationError, partial(_invalid, app)),
        (NotFoundError, _no_such_route),
        (NotYoursError, _not_yours),
        (BillingError, _billing),
        # A wrong response of ours is no error of the caller's.
        (ResponseValidationError, _defect),
        (Exception, _other),
    ):
        app.exception_handler(error_class)(respond)


def problem(
    status: HTTPStatus, detail: str, errors: list[dict[str, str]] | None = None, headers: dict[str, str] | None = None
) -> Response[str]:
    """Return a problem; `errors` names the fields that break a rule."""
    body: dict[str, Any] = {"title": TITLES[status], "status": status.value, "detail": detail}
    if errors:
        body["errors"] = errors
    return Response(status.value, PROBLEM, json.dumps(body), headers=headers)


def _invalid(app: APIGatewayHttpResolver, error: RequestValidationError) -> Response[str]:
    # Powertools validates before any middleware: what is wrong with a request is for its own organisation alone.
    if not may_act(app):
        return _not_yours(NotYoursError())
    # The messages are pydantic's about the rule; what was sent is not repeated.
    errors = [
        {"field": ".".join(str(part) for part in each["loc"]), "message": _message(each)} for each in error.errors()
    ]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "See errors", errors)


def _message(error: Mapping[str, Any]) -> str:
    if (error.get("ctx") or {}).get("pattern") == TIME:
        return TIME_RULE
    return str(error.get("msg", "Invalid"))


def _no_such_route(_: NotFoundError) -> Response[str]:
    return problem(HTTPStatus.NOT_FOUND, "The API has no such path")


def _not_yours(_: NotYoursError) -> Response[str]:
    return problem(HTTPStatus.FORBIDDEN, "The caller may not act for this organisation")


def _billing(error: BillingError) -> Response[str]:
    match error:
        case InvalidRequestError():
            field = [{"field": error.field, "message": str(error)}]
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "See errors", field)
        case NotSubscribedError():
            return problem(HTTPStatus.NOT_FOUND, str(error))
        case AlreadySubscribedError() | SubscriptionStateError():
            return problem(HTTPStatus.CONFLICT, str(error))
        case UsageNotToldError():
            logger.warning("A subscription cannot end at once: hours are due", extra=described(error))
            retry_after = {"Retry-After": str(USAGE_RETRY_AFTER_SECONDS)}
            return problem(HTTPStatus.CONFLICT, str(error), headers=retry_after)
        case KeyReusedError():
            field = [{"field": "header.idempotency-key", "message": "It came before with another request"}]
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "See errors", field)
        case StripeRefusedError():
            logger.error("Stripe refuses a request of the API", extra={"code": error.code} | described(error))
            return problem(HTTPStatus.BAD_GATEWAY, f"Stripe's error code: {error.code or 'none'}")
        case UnavailableError():
            return _unavailable(error)
    return _defect(error)


def _other(error: Exception) -> Response[str]:
    return _unavailable(error) if is_transient(error) else _defect(error)


def _unavailable(error: Exception) -> Response[str]:
    logger.warning("A request cannot succeed now", extra=described(error))
    retry_after = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The same request later can succeed", headers=retry_after)


def _defect(error: Exception) -> Response[str]:
    logger.error("A request failed", extra=described(error))
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "It has been noted")


def with_request_id(response: dict[str, Any], event: Any) -> dict[str, Any]:
    """Return a response whose problem, if it is one, names the request as API Gateway's access log does."""
    context = event.get("requestContext") if isinstance(event, Mapping) else None
    request_id = context.get("requestId") if isinstance(context, Mapping) else None
    if not request_id or (response.get("headers") or {}).get("Content-Type") != PROBLEM:
        return response
    return response | {"body": json.dumps(json.loads(response["body"]) | {"request_id": str(request_id)})}


def plain_problem(status: HTTPStatus, detail: str) -> dict[str, Any]:
    """Return a problem as API Gateway takes it, for what never reached a route."""
    response = problem(status, detail)
    return {"statusCode": status.value, "headers": {"Content-Type": PROBLEM}, "body": response.body}
