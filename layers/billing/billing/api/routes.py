"""The routes of the billing API (docs/api.md): from a request's body to the models of its response."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from billing.access.reading import may_use
from billing.api.authorization import authorize
from billing.api.bodies import json_object, with_text_body
from billing.api.cancellation_routes import add_cancellation
from billing.api.invoice_models import InvoiceId, InvoiceResponse, InvoicesResponse, PeriodCursor
from billing.api.invoices import list_invoices, read_invoice
from billing.api.models import (
    TIME,
    AccessResponse,
    CheckoutRequest,
    CheckoutSessionResponse,
    IdempotencyKey,
    OrganizationId,
    PortalRequest,
    PortalSessionResponse,
    SubscriptionResponse,
    ThresholdsRequest,
    ThresholdsResponse,
    UsageHourResponse,
    UsageResponse,
    UsageTotalResponse,
)
from billing.api.problems import (
    POST_PROBLEMS,
    RefusedBodyError,
    add_problems,
    answers,
    plain_problem,
    with_request_id,
)
from billing.api.query import Cursor, refuse_unknown_parameters
from billing.api.requests import DEFAULT_RANGE, LONGEST_RANGE, read_range
from billing.errors import NotSubscribedError
from billing.tables.subscriptions import SubscriptionRecord
from billing.telemetry import described, logger
from billing.thresholds.keeping import replace_thresholds, thresholds_of
from billing.usage.reading import totals, usage_between

app = APIGatewayHttpResolver(enable_validation=True, debug=False, json_body_deserializer=json_object)
app.use(middlewares=[authorize, refuse_unknown_parameters])
add_problems(app)
add_cancellation(app)


def respond(event: Any, context: Any) -> dict[str, Any]:
    """Respond to API Gateway's event of a request; whatever goes wrong becomes a problem, never an exception."""
    try:
        response = app.resolve(with_text_body(event), context)
    except RefusedBodyError as error:
        response = plain_problem(error.status, str(error))
    except Exception as error:
        logger.error("A request failed", extra=described(error))
        response = plain_problem(HTTPStatus.INTERNAL_SERVER_ERROR, "It has been noted")
    return with_request_id(response, event)


@app.post(
    "/organizations/<organization_id>/checkout-sessions",
    status_code=201,
    operation_id="openCheckoutSession",
    summary="Open a page on which the organisation subscribes",
    **answers(201, CheckoutSessionResponse, "The page is open", HTTPStatus.CONFLICT, *POST_PROBLEMS),
)
def open_checkout_session(
    organization_id: OrganizationId, body: CheckoutRequest, idempotency_key: IdempotencyKey = None
) -> CheckoutSessionResponse:
    """Open a checkout session; a webhook brings the subscription that comes of it."""
    # Imported here: importing stripe takes longer than everything else, and reading usage needs none of it.
    from billing.api.checkout import open_checkout
    from billing.stripe_gateway.calls import stripe_gateway

    session = open_checkout(
        organization_id, body.price_ids, body.success_url, body.cancel_url, idempotency_key, stripe_gateway(), body
    )
    return CheckoutSessionResponse.model_validate(session)


@app.post(
    "/organizations/<organization_id>/portal-sessions",
    status_code=201,
    operation_id="openPortalSession",
    summary="Open a page on which the organisation manages its subscription",
    **answers(201, PortalSessionResponse, "The page is open", *POST_PROBLEMS),
)
def open_portal_session(
    organization_id: OrganizationId, body: PortalRequest, idempotency_key: IdempotencyKey = None
) -> PortalSessionResponse:
    """Open a session of Stripe's customer portal."""
    from billing.api.checkout import open_portal
    from billing.stripe_gateway.calls import stripe_gateway

    return PortalSessionResponse(url=open_portal(organization_id, body.return_url, idempotency_key, stripe_gateway()))


@app.get(
    "/organizations/<organization_id>/subscription",
    operation_id="getSubscription",
    summary="Read the organisation's subscription",
    **answers(200, SubscriptionResponse, "The subscription", HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_subscription(organization_id: OrganizationId) -> SubscriptionResponse:
    """Read the organisation's subscription as Stripe had it when its last event came."""
    record = SubscriptionRecord.of(organization_id)
    if record is None or not record.stripe_subscription_id:
        raise NotSubscribedError("The organisation has no subscription")
    return SubscriptionResponse.model_validate(record)


@app.get(
    "/organizations/<organization_id>/access",
    operation_id="getAccess",
    summary="Read whether the organisation may use the service",
    **answers(200, AccessResponse, "Its access now", HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_access(organization_id: OrganizationId) -> AccessResponse:
    """Read who may use the service: an organisation without a subscription, or that nobody knows, is denied."""
    access = may_use(organization_id)
    return AccessResponse(
        organization_id=organization_id,
        may_use=bool(access),
        access=access.state,
        reason=access.reason,
        since=access.since,
        until=access.until,
    )


@app.get(
    "/organizations/<organization_id>/thresholds",
    operation_id="getThresholds",
    summary="Read the limits of the organisation's usage",
    **answers(200, ThresholdsResponse, "The limits", HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_thresholds(organization_id: OrganizationId) -> ThresholdsResponse:
    """Read the limits; none is an answer too."""
    return ThresholdsResponse(organization_id=organization_id, thresholds=thresholds_of(organization_id))


@app.put(
    "/organizations/<organization_id>/thresholds",
    operation_id="setThresholds",
    summary="Set the limits of the organisation's usage",
    description="They replace all that it has. The product hears of each that a billing period reaches.",
    **answers(200, ThresholdsResponse, "The limits as they are now", *POST_PROBLEMS),
)
def set_thresholds(organization_id: OrganizationId, body: ThresholdsRequest) -> ThresholdsResponse:
    """Replace the limits."""
    limits = replace_thresholds(organization_id, body.thresholds)
    return ThresholdsResponse(organization_id=organization_id, thresholds=limits)


@app.get(
    "/organizations/<organization_id>/usage",
    operation_id="getUsage",
    summary="Read what the organisation used, hour by hour",
    description=f"Read a range of at most {LONGEST_RANGE.days} days; hours without usage are left out.",
    **answers(200, UsageResponse, "A page of hours", HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_usage(
    organization_id: OrganizationId,
    start: Annotated[
        str | None,
        Query(
            pattern=TIME,
            description=f"The hour it lies in is the first one; {DEFAULT_RANGE.days} days before `end` if left out.",
        ),
    ] = None,
    end: Annotated[
        str | None, Query(pattern=TIME, description="Hours that begin before it are in the response; now if left out.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many hours a page has at most.")] = 168,
    cursor: Cursor = None,
) -> UsageResponse:
    """Read a page of a range's hours, and the totals of the whole range."""
    since, until = read_range(start, end)
    hours = usage_between(organization_id, since, until)
    remaining_hours = [hour for hour in hours if cursor is None or hour.window_start >= cursor]
    return UsageResponse(
        organization_id=organization_id,
        start=since,
        end=until,
        totals={name: UsageTotalResponse.model_validate(total) for name, total in totals(hours).items()},
        hours=[UsageHourResponse.model_validate(hour) for hour in remaining_hours[:limit]],
        next_cursor=remaining_hours[limit].window_start if len(remaining_hours) > limit else None,
    )


@app.get(
    "/organizations/<organization_id>/invoices",
    operation_id="listInvoices",
    summary="Read the organisation's billing periods and invoices",
    description="The newest first: what each counted, what its invoices bill, and whether it agrees.",
    **answers(200, InvoicesResponse, "A page of periods", HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_invoices(
    organization_id: OrganizationId,
    limit: Annotated[int, Query(ge=1, le=100, description="How many periods a page has at most.")] = 12,
    cursor: PeriodCursor = None,
) -> InvoicesResponse:
    """Read a page of the organisation's billing periods with their invoices."""
    return InvoicesResponse.model_validate(list_invoices(organization_id, limit, cursor))


@app.get(
    "/organizations/<organization_id>/invoices/<invoice_id>",
    operation_id="getInvoice",
    summary="Read what is behind an invoice",
    description="For each line the hours, what was corrected, carried in or out, the sum, and whether it agrees.",
    **answers(200, InvoiceResponse, "The invoice's lines, and a page of hours", HTTPStatus.SERVICE_UNAVAILABLE),
)
def get_invoice(
    organization_id: OrganizationId,
    invoice_id: InvoiceId,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many hours a page has at most.")] = 1000,
    cursor: Cursor = None,
) -> InvoiceResponse:
    """Read how an invoice's lines add up, and a page of the hours of its period."""
    return InvoiceResponse.model_validate(read_invoice(organization_id, invoice_id, limit, cursor))
