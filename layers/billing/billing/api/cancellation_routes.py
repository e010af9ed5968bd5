"""The routes that end an organisation's subscription, or let it go on (docs/api.md)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from billing import clock
from billing.api.models import CancellationRequest, OrganizationId, SubscriptionResponse
from billing.api.problems import POST_PROBLEMS, answers
from billing.errors import InvalidRequestError

if TYPE_CHECKING:
    from billing.stripe_gateway.objects import StripeSubscription


def add_cancellation(app: APIGatewayHttpResolver) -> None:
    """Add the routes."""
    path = "/organizations/<organization_id>/subscription/cancellation"
    app.post(
        path,
        operation_id="cancelSubscription",
        summary="End the organisation's subscription",
        description="With its period, or at once: then after its usage was sent, with the last invoice.",
        **answers(200, SubscriptionResponse, "As Stripe has it now", HTTPStatus.CONFLICT, *POST_PROBLEMS),
    )(cancel_subscription)
    app.delete(
        path,
        operation_id="keepSubscription",
        summary="Let the organisation's subscription go on",
        description="Takes back that it ends with its period.",
        **answers(200, SubscriptionResponse, "As Stripe has it now", HTTPStatus.CONFLICT, *POST_PROBLEMS),
    )(keep_subscription)


def cancel_subscription(organization_id: OrganizationId, body: CancellationRequest) -> SubscriptionResponse:
    """End the subscription; a webhook brings the record up to date."""
    from billing.api.cancellation import end_by_period, end_now
    from billing.stripe_gateway.calls import stripe_gateway

    if body.at == "now":
        return _response(organization_id, end_now(organization_id, stripe_gateway(), prorate=bool(body.prorate)))
    if body.prorate is not None:
        raise InvalidRequestError("prorate", 'Goes with "at": "now" alone: a period that ends is paid as a whole')
    return _response(organization_id, end_by_period(organization_id, stripe_gateway()))


def keep_subscription(organization_id: OrganizationId) -> SubscriptionResponse:
    """Let the subscription go on beyond its period."""
    from billing.api.cancellation import keep
    from billing.stripe_gateway.calls import stripe_gateway

    return _response(organization_id, keep(organization_id, stripe_gateway()))


def _response(organization_id: str, subscription: StripeSubscription) -> SubscriptionResponse:
    return SubscriptionResponse(
        organization_id=organization_id,
        stripe_customer_id=subscription.customer_id,
        stripe_subscription_id=subscription.subscription_id,
        status=subscription.status,
        price_ids=list(subscription.price_ids),
        started_at=subscription.started_at,
        current_period_start=subscription.current_period_start,
        current_period_end=subscription.current_period_end,
        cancel_at=subscription.cancel_at,
        cancel_at_period_end=subscription.cancel_at_period_end,
        ended_at=subscription.ended_at,
        fetched_at=clock.utc_now().replace(microsecond=0),
    )
