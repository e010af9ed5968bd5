"""Subscriptions as Stripe has them now."""

from __future__ import annotations

from billing.errors import StripeNotFoundError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.objects import StripeSubscription, read_subscription


def list_subscriptions(gateway: StripeGateway, customer_id: str) -> list[StripeSubscription]:
    """Return every subscription of a customer, ended ones too; none where Stripe does not know the customer."""
    try:
        return [
            read_subscription(item)
            for item in gateway.pages("/v1/subscriptions", {"customer": customer_id, "status": "all", "limit": 100})
        ]
    except StripeNotFoundError:
        return []


def retrieve_subscription(gateway: StripeGateway, subscription_id: str) -> StripeSubscription | None:
    """Return a subscription, or None where Stripe does not know it."""
    try:
        return read_subscription(
            gateway.read(lambda client: client.v1.subscriptions.retrieve(subscription_id)).to_dict()
        )
    except StripeNotFoundError:
        return None
