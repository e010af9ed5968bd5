"""HTTP request in, HTTP answer out: the billing API (docs/api.md)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestValidationError,
    ResponseValidationError,
)
from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from billing.api.requests import read_range
from billing.errors import (
    AlreadySubscribedError,
    BillingError,
    InvalidRequestError,
    KeyReusedError,
    NotSubscribedError,
    StripeRefusedError,
    UnavailableError,
)
from billing.settings import jwt_organization_claim, runs_under_sam_local
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import is_transient
from billing.telemetry import count, described, flush, logger
from billing.usage.reading import totals, usage_between

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

PROBLEM = "application/problem+json"
RETRY_AFTER_SECONDS = 5
TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"


class RefusedBodyError(Exception):
    """Say why a body is not looked into, and the status to answer with."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class NotYoursError(Exception):
    """Say that the caller may not act for this organisation."""


# ---------------------------------------------------------------------------------------- what goes in and comes out

# Printable, and no character that an address would have to encode. 200 is Stripe's limit of `client_reference_id`.
OrganizationId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9_~:@+=,;!$&()*-][A-Za-z0-9_~:@+=,;!$&()*. -]*$",
        description="The organisation, by the id under which its usage is recorded.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The same key again within 24 hours gets the same session. Without one, every request opens one.",
    ),
]
Address = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://app.example.com/billing"])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CheckoutRequest(_Body):
    """Ask for a page on which the organisation subscribes."""

    price_ids: Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(min_length=1, max_length=20)]
    success_url: Address
    cancel_url: Address


class PortalRequest(_Body):
    """Ask for a page on which the organisation manages its subscription."""

    return_url: Address


class CheckoutSessionAnswer(BaseModel):
    """Say where the buyer is to be sent, and until when."""

    checkout_session_id: str
    url: str
    expires_at: datetime


class PortalSessionAnswer(BaseModel):
    """Say where the customer is to be sent."""

    url: str


class SubscriptionAnswer(BaseModel):
    """Tell a subscription as Stripe had it at `fetched_at`."""

    organization_id: str
    stripe_customer_id: str | None
    stripe_subscription_id: str
    status: str | None
    price_ids: list[str]
    started_at: datetime | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool
    ended_at: datetime | None
    fetched_at: datetime | None


class UsageHourAnswer(BaseModel):
    """Tell one hour: what was counted, what Stripe was told, and what is in the way."""

    window_start: datetime
    state: Literal["due", "refused", "reported", "unreported"]
    counted: dict[str, int | float]
    reported: dict[str, int]
    reason: str | None
    reported_at: datetime | None


class UsageTotalAnswer(BaseModel):
    """Tell a meter's total over the whole range: the hours added up (`sum`), or the last hour's number (`last`)."""

    formula: Literal["last", "sum"]
    counted: int | float
    reported: int


class UsageAnswer(BaseModel):
    """Tell a range of hours, page by page; `totals` are those of the whole range, on every page."""

    organization_id: str
    start: datetime
    end: datetime
    totals: dict[str, UsageTotalAnswer]
    hours: list[UsageHourAnswer]
    next_cursor: str | None


class FieldProblem(BaseModel):
    """Name a part of the request and what is wrong with it."""

    field: str
    message: str


class Problem(BaseModel):
    """Tell what went wrong: https://www.rfc-editor.org/rfc/rfc9457."""

    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None


def _json_object(text: str) -> Any:
    """Read a body; a list would be taken for its first element."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise json.JSONDecodeError("The body must be a JSON object", text, 0)
    return value


app = APIGatewayHttpResolver(enable_validation=True, debug=False, json_body_deserializer=_json_object)


def _answers(status: int, model: type[BaseModel], description: str, *errors: HTTPStatus) -> dict[int, Any]:
    """Return the answers of an operation for the OpenAPI document: one success and the problems it may have."""
    # 404: also an id with characters that no route takes.
    always = (
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    found: dict[int, Any] = {
        error.value: {"description": _TITLES[error], "content": {PROBLEM: {"model": Problem}}}
        for error in sorted({*always, *errors})
    }
    return {status: {"description": description, "content": {"application/json": {"model": model}}}, **found}


_TITLES = {
    HTTPStatus.BAD_REQUEST: "The request cannot be read",
    HTTPStatus.FORBIDDEN: "Not this caller's organisation",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.CONFLICT: "There is a subscription already",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body must be JSON",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request breaks a rule",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something is wrong on our side",
    HTTPStatus.BAD_GATEWAY: "Stripe refuses",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not possible at this moment",
}
_OF_STRIPE = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


# ------------------------------------------------------------------------------------------------------- who may call


def _authorize(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Let a token's caller reach its own organisation only; one that signs with AWS credentials, every one."""
    authorizer = app.current_event.request_context.authorizer
    claim = jwt_organization_claim()
    organization_id = app.context["_route_args"].get("organization_id")
    if claim:
        allowed = organization_id is not None and authorizer.jwt_claim.get(claim) == organization_id
    else:
        # API Gateway lets nobody through unsigned; a template that forgot to ask for it must not open the API.
        allowed = bool(authorizer.iam.user_arn) or runs_under_sam_local()
    if not allowed:
        raise NotYoursError
    return next_middleware(app)


app.use(middlewares=[_authorize])


# --------------------------------------------------------------------------------------------------------- operations


@app.post(
    "/organizations/<organization_id>/checkout-sessions",
    status_code=201,
    operation_id="openCheckoutSession",
    summary="Open a page on which the organisation subscribes",
    custom_response_validation_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
    responses=_answers(201, CheckoutSessionAnswer, "The page is open", HTTPStatus.CONFLICT, *_OF_STRIPE),
)
def open_checkout_session(
    organization_id: OrganizationId, body: CheckoutRequest, idempotency_key: IdempotencyKey = None
) -> CheckoutSessionAnswer:
    """Open a checkout session; the webhook tells what came of it."""
    # Imported here: importing stripe takes longer than everything else, and reading usage needs none of it.
    from billing.api.checkout import open_checkout
    from billing.stripe_gateway.calls import stripe_gateway

    session = open_checkout(
        organization_id, body.price_ids, body.success_url, body.cancel_url, idempotency_key, stripe_gateway()
    )
    return CheckoutSessionAnswer(checkout_session_id=session.session_id, url=session.url, expires_at=session.expires_at)


@app.post(
    "/organizations/<organization_id>/portal-sessions",
    status_code=201,
    operation_id="openPortalSession",
    summary="Open a page on which the organisation manages its subscription",
    custom_response_validation_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
    responses=_answers(201, PortalSessionAnswer, "The page is open", *_OF_STRIPE),
)
def open_portal_session(
    organization_id: OrganizationId, body: PortalRequest, idempotency_key: IdempotencyKey = None
) -> PortalSessionAnswer:
    """Open a session of Stripe's customer portal."""
    from billing.api.checkout import open_portal
    from billing.stripe_gateway.calls import stripe_gateway

    return PortalSessionAnswer(url=open_portal(organization_id, body.return_url, idempotency_key, stripe_gateway()))


@app.get(
    "/organizations/<organization_id>/subscription",
    operation_id="getSubscription",
    summary="Read the organisation's subscription",
    custom_response_validation_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
    responses=_answers(200, SubscriptionAnswer, "The subscription", HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_subscription(organization_id: OrganizationId) -> SubscriptionAnswer:
    """Read the organisation's subscription as Stripe had it when its last event came."""
    record = SubscriptionRecord.of(organization_id)
    if record is None or not record.stripe_subscription_id:
        raise NotSubscribedError("The organisation has no subscription")
    return SubscriptionAnswer(
        organization_id=organization_id,
        stripe_customer_id=record.stripe_customer_id,
        stripe_subscription_id=record.stripe_subscription_id,
        status=record.status,
        price_ids=[str(price_id) for price_id in record.price_ids or ()],
        started_at=record.started_at,
        current_period_start=record.current_period_start,
        current_period_end=record.current_period_end,
        cancel_at_period_end=bool(record.cancel_at_period_end),
        ended_at=record.ended_at,
        fetched_at=record.fetched_at,
    )


@app.get(
    "/organizations/<organization_id>/usage",
    operation_id="getUsage",
    summary="Read what the organisation used, hour by hour",
    custom_response_validation_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
    responses=_answers(200, UsageAnswer, "A page of hours", HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_usage(
    organization_id: OrganizationId,
    start: Annotated[
        str | None,
        Query(pattern=TIME, description="The hour it lies in is the first one; seven days before `end` if left out."),
    ] = None,
    end: Annotated[
        str | None, Query(pattern=TIME, description="Hours that begin before it are told; now if left out.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many hours a page has at most.")] = 168,
    cursor: Annotated[
        str | None, Query(pattern=TIME, description="`next_cursor` of the page before, with the same range.")
    ] = None,
) -> UsageAnswer:
    """Read a range of at most 92 days; hours without usage are left out."""
    since, until = read_range(start, end)
    hours = usage_between(organization_id, since, until)
    rest = [hour for hour in hours if cursor is None or hour.window_start >= cursor]
    return UsageAnswer(
        organization_id=organization_id,
        start=since,
        end=until,
        totals={
            name: UsageTotalAnswer(formula=total.formula, counted=total.counted, reported=total.reported)
            for name, total in totals(hours).items()
        },
        hours=[
            UsageHourAnswer(
                window_start=hour.window_start,  # type: ignore[arg-type]  # pydantic reads it as a time
                state=hour.state,
                counted=dict(hour.counted),
                reported=dict(hour.reported),
                reason=hour.reason,
                reported_at=hour.reported_at,
            )
            for hour in rest[:limit]
        ],
        next_cursor=rest[limit].window_start if len(rest) > limit else None,
    )


# ------------------------------------------------------------------------------------------------------------ problems


def _problem(
    status: HTTPStatus, detail: str, errors: list[dict[str, str]] | None = None, headers: dict[str, str] | None = None
) -> Response[str]:
    body: dict[str, Any] = {"title": _TITLES[status], "status": status.value, "detail": detail}
    if errors:
        body["errors"] = errors
    return Response(status.value, PROBLEM, json.dumps(body), headers=headers)


def _invalid(error: RequestValidationError) -> Response[str]:
    # The messages are pydantic's about the rule; what was sent is not repeated.
    errors = [
        {"field": ".".join(str(part) for part in each["loc"]), "message": str(each.get("msg", "Invalid"))}
        for each in error.errors()
    ]
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "See errors", errors)


def _no_such_route(_: NotFoundError) -> Response[str]:
    return _problem(HTTPStatus.NOT_FOUND, "The API has no such path")


def _not_yours(_: NotYoursError) -> Response[str]:
    return _problem(HTTPStatus.FORBIDDEN, "The caller may not act for this organisation")


def _billing(error: BillingError) -> Response[str]:
    match error:
        case InvalidRequestError():
            field = [{"field": error.field, "message": str(error)}]
            return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "See errors", field)
        case NotSubscribedError():
            return _problem(HTTPStatus.NOT_FOUND, str(error))
        case AlreadySubscribedError():
            return _problem(HTTPStatus.CONFLICT, str(error))
        case KeyReusedError():
            field = [{"field": "header.idempotency-key", "message": "It came before with another request"}]
            return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "See errors", field)
        case StripeRefusedError():
            logger.error("Stripe refuses a request of the API", extra={"code": error.code} | described(error))
            return _problem(HTTPStatus.BAD_GATEWAY, f"Stripe's error code: {error.code or 'none'}")
        case UnavailableError():
            return _unavailable(error)
    return _defect(error)


def _other(error: Exception) -> Response[str]:
    return _unavailable(error) if is_transient(error) else _defect(error)


def _unavailable(error: Exception) -> Response[str]:
    logger.warning("A request cannot be answered now", extra=described(error))
    again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The same request later can succeed", headers=again)


def _defect(error: Exception) -> Response[str]:
    logger.error("A request failed", extra=described(error))
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "It has been noted")


for _error_class, _answer in (
    (RequestValidationError, _invalid),
    (NotFoundError, _no_such_route),
    (NotYoursError, _not_yours),
    (BillingError, _billing),
    # A wrong answer of ours is no error of the caller's.
    (ResponseValidationError, _defect),
    (Exception, _other),
):
    app.exception_handler(_error_class)(_answer)


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answer a request of the billing API; whatever goes wrong is answered as a problem, never raised."""
    started = time.perf_counter()
    answer = _answered(event, context)
    status = answer["statusCode"]
    if status >= HTTPStatus.BAD_REQUEST:
        count("api_errors", dimension=str(status))
    flush()
    fields = {"status": status, "duration_ms": round((time.perf_counter() - started) * 1000, 1)}
    logger.info("API request", extra=_named(event) | fields)
    return answer


def _answered(event: Any, context: Any) -> dict[str, Any]:
    try:
        return app.resolve(_readable(event), context)
    except RefusedBodyError as error:
        return _plain(error.status, str(error))
    except Exception as error:
        logger.error("A request failed", extra=described(error))
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "It has been noted")


def _readable(event: Any) -> Any:
    """Return the request with its body as text: API Gateway hands over some bodies in base64.

    Raises:
        RefusedBodyError: it is no text, or not said to be JSON; Powertools would also read forms.
    """
    if not isinstance(event, Mapping) or not event.get("body"):
        return event
    content_type = (event.get("headers") or {}).get("content-type", "application/json")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise RefusedBodyError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json")
    if not event.get("isBase64Encoded"):
        return event
    try:
        text = base64.b64decode(event["body"], validate=True).decode()
    except ValueError:
        raise RefusedBodyError(HTTPStatus.BAD_REQUEST, "The body is not what its encoding says") from None
    return {**event, "body": text, "isBase64Encoded": False}


def _plain(status: HTTPStatus, detail: str) -> dict[str, Any]:
    problem = _problem(status, detail)
    return {"statusCode": status.value, "headers": {"Content-Type": PROBLEM}, "body": problem.body}


def _named(event: Any) -> dict[str, Any]:
    if not isinstance(event, Mapping):
        return {}
    parameters = event.get("pathParameters")
    organization_id = parameters.get("organization_id") if isinstance(parameters, Mapping) else None
    return {"route": event.get("routeKey"), "organization_id": organization_id}
