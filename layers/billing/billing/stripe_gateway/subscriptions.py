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


def end_with_period(gateway: StripeGateway, subscription_id: str) -> StripeSubscription:
    """Let a subscription end with its billing period; https://docs.stripe.com/billing/subscriptions/cancel."""
    return _updated(gateway, subscription_id, {"cancel_at_period_end": True})


def go_on(gateway: StripeGateway, subscription: StripeSubscription) -> StripeSubscription:
    """Let a subscription go on that is to end: at its period's end, or at a time of its own."""
    changes = {"cancel_at_period_end": False} if subscription.cancel_at_period_end else {"cancel_at": ""}
    return _updated(gateway, subscription.subscription_id, changes)


def end_at_once(gateway: StripeGateway, subscription_id: str, *, prorate: bool) -> StripeSubscription:
    """End a subscription now, with an invoice of the usage until now; one that has ended is returned as it is.

    Without `invoice_now` no invoice would ever have it: https://docs.stripe.com/api/subscriptions/cancel
    """
    params: Any = {"invoice_now": True, "prorate": prorate}
    try:
        item = gateway.read(lambda client: client.v1.subscriptions.cancel(subscription_id, params)).to_dict()
    except StripeNotFoundError:
        # Ended by another request, or by this one, whose first response was lost.
        ended = retrieve_subscription(gateway, subscription_id)
        if ended is None or ended.is_living:
            raise
        return ended
    return _read(gateway, [item])[0]


def _updated(gateway: StripeGateway, subscription_id: str, changes: Any) -> StripeSubscription:
    """Set values of a subscription, which can be repeated; https://docs.stripe.com/api/subscriptions/update."""
    item = gateway.read(lambda client: client.v1.subscriptions.update(subscription_id, changes)).to_dict()
    return _read(gateway, [item])[0]


def _read(gateway: StripeGateway, items: Sequence[dict[str, Any]]) -> list[StripeSubscription]:
    names = event_names_of(gateway, {meter_id for item in items for meter_id in meter_ids_of(item)})
    return [read_subscription(item, names) for item in items]
