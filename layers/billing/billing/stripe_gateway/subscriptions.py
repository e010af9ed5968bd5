"""Subscriptions as Stripe has them now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from billing.errors import StripeNotFoundError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.meters import event_names_of
from billing.stripe_gateway.objects import StripeSubscription, meter_ids_of, read_subscription


def list_subscriptions(gateway: StripeGateway, customer_id: str) -> list[StripeSubscription]:
    """Return every subscription of a customer, ended ones too; none where Stripe does not know the customer."""
    params = {"customer": customer_id, "status": "all", "limit": 100}
    try:
        items = list(gateway.pages("/v1/subscriptions", params))
    except StripeNotFoundError:
        return []
    return _read(gateway, items)


def list_all_subscriptions(gateway: StripeGateway) -> Iterator[StripeSubscription]:
    """Yield every subscription of the account, ended ones too, page by page."""
    for item in gateway.pages("/v1/subscriptions", {"status": "all", "limit": 100}):
        yield from _read(gateway, [item])


def retrieve_subscription(gateway: StripeGateway, subscription_id: str) -> StripeSubscription | None:
    """Return a subscription, or None where Stripe does not know it."""
    try:
        item = gateway.read(lambda client: client.v1.subscriptions.retrieve(subscription_id)).to_dict()
    except StripeNotFoundError:
        return None
    return _read(gateway, [item])[0]


def _read(gateway: StripeGateway, items: Sequence[dict[str, Any]]) -> list[StripeSubscription]:
    names = event_names_of(gateway, {meter_id for item in items for meter_id in meter_ids_of(item)})
    return [read_subscription(item, names) for item in items]
