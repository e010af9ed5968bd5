"""What Stripe has now: all subscriptions of an organisation's customers, and the one to follow."""

from __future__ import annotations

from billing import clock
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.subscriptions import list_subscriptions, retrieve_subscription
from billing.webhooks.decision import Fetched, StoredSubscription, newest_living
from billing.webhooks.events import Pointer


def fetch(
    gateway: StripeGateway, organization_id: str, pointer: Pointer | None, record: StoredSubscription | None
) -> Fetched | None:
    """Ask Stripe for the organisation's subscriptions; None where it has none.

    All customers that the organisation has had are asked for, and the event's where there is a pointer; all their
    subscriptions are looked at: so the result depends on what Stripe has, not on which event happened to be the last.
    """
    fetched_at = clock.utc_now()
    customer_ids: set[str | None] = set()
    expected_ids: set[str | None] = set()
    if pointer is not None:
        customer_ids.add(pointer.customer_id)
        expected_ids.add(pointer.subscription_id)
    if record is not None:
        customer_ids |= {*(record.customer_ids or ()), record.stripe_customer_id}
        expected_ids.add(record.stripe_subscription_id)
    subscriptions = {
        subscription.subscription_id: subscription
        for customer_id in sorted(filter(None, customer_ids))
        for subscription in list_subscriptions(gateway, customer_id)
    }
    # A deleted customer's list may be gone while its subscriptions can still be read.
    for subscription_id in filter(None, expected_ids - subscriptions.keys()):
        subscription = retrieve_subscription(gateway, subscription_id)
        if subscription is not None:
            subscriptions[subscription_id] = subscription
    own_subscriptions = [
        subscription
        for subscription in subscriptions.values()
        if subscription.organization_id in (None, organization_id) or subscription.subscription_id in expected_ids
    ]
    if not own_subscriptions:
        return None
    newest = newest_living(own_subscriptions)
    return Fetched(newest, own_subscriptions, {*filter(None, customer_ids), newest.customer_id}, fetched_at)
