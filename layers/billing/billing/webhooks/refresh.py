"""What Stripe has now: all subscriptions of an organisation's customers, and the one to follow."""

from __future__ import annotations

from collections.abc import Iterator, Set

from billing import clock
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.objects import StripeSubscription
from billing.stripe_gateway.subscriptions import list_subscriptions, retrieve_subscription
from billing.tables.customers import is_anothers
from billing.webhooks.decision import Fetched, StoredSubscription, claimed_customers, newest_living
from billing.webhooks.events import Pointer


def fetch(
    gateway: StripeGateway, organization_id: str, pointer: Pointer | None, record: StoredSubscription | None
) -> Fetched | None:
    """Ask Stripe for the organisation's subscriptions; None where it has none.

    All customers that the organisation has had are asked for, and the event's where there is a pointer; all their
    subscriptions are looked at: so the result depends on what Stripe has, not on which event happened to be the last.
    A customer that another organisation has is not.
    """
    fetched_at = clock.utc_now()
    customer_ids, subscription_ids = _known_ids(pointer, record)
    unclaimed = customer_ids - claimed_customers(record)
    customer_ids -= {customer_id for customer_id in unclaimed if is_anothers(customer_id, organization_id)}
    own_subscriptions = [
        subscription
        for subscription in _subscriptions(gateway, customer_ids, subscription_ids)
        if subscription.organization_id in (None, organization_id) or subscription.subscription_id in subscription_ids
        if subscription.customer_id in customer_ids or not is_anothers(subscription.customer_id, organization_id)
    ]
    if not own_subscriptions:
        return None
    newest = newest_living(own_subscriptions)
    return Fetched(newest, own_subscriptions, {*customer_ids, newest.customer_id}, fetched_at)


def _known_ids(pointer: Pointer | None, record: StoredSubscription | None) -> tuple[set[str], set[str]]:
    """Return the ids of the customers, and of the subscriptions, that the event and the record name."""
    customer_ids: set[str | None] = set()
    subscription_ids: set[str | None] = set()
    if pointer is not None:
        customer_ids.add(pointer.customer_id)
        subscription_ids.add(pointer.subscription_id)
    if record is not None:
        customer_ids |= {*(record.customer_ids or ()), record.stripe_customer_id}
        subscription_ids.add(record.stripe_subscription_id)
    return set(filter(None, customer_ids)), set(filter(None, subscription_ids))


def _subscriptions(
    gateway: StripeGateway, customer_ids: Set[str], subscription_ids: Set[str]
) -> Iterator[StripeSubscription]:
    """Yield all subscriptions of the customers, and those with the ids, each once."""
    listed: set[str] = set()
    for customer_id in sorted(customer_ids):
        for subscription in list_subscriptions(gateway, customer_id):
            listed.add(subscription.subscription_id)
            yield subscription
    # A deleted customer's list may be gone while its subscriptions can still be read.
    for subscription_id in sorted(subscription_ids - listed):
        retrieved = retrieve_subscription(gateway, subscription_id)
        if retrieved is not None:
            yield retrieved
