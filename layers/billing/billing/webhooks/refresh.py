"""What Stripe has now: all subscriptions of an organisation's customers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Set
from dataclasses import replace

from billing import clock
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.invoices import unpaid_since
from billing.stripe_gateway.objects import StripeSubscription
from billing.stripe_gateway.subscriptions import list_subscriptions, retrieve_subscription
from billing.tables.customers import is_anothers
from billing.webhooks.choice import Found, StoredSubscription, claimed_customers, customers_of
from billing.webhooks.events import Pointer


def find(
    gateway: StripeGateway,
    organization_id: str,
    pointer: Pointer | None,
    record: StoredSubscription | None,
    also_at: Collection[str] = (),
) -> Found:
    """Ask Stripe for the organisation's subscriptions.

    All customers that the organisation has had are asked for, and the event's where there is a pointer; all their
    subscriptions are looked at: so the result depends on what Stripe has, not on which event happened to be the last.
    `also_at` are further customers. A customer that another organisation has is not asked for, and a subscription left
    out that the seller says is another's.
    """
    fetched_at = clock.utc_now()
    customer_ids, subscription_ids = _known_ids(pointer, record)
    customer_ids |= set(also_at)
    own_ids = {record.stripe_subscription_id if record else None, pointer.subscription_id if pointer else None}
    if pointer is not None and pointer.is_buyers_word:
        own_ids.discard(pointer.subscription_id)
    unclaimed = customer_ids - claimed_customers(record)
    customer_ids -= {customer_id for customer_id in unclaimed if is_anothers(customer_id, organization_id)}
    own_subscriptions = [
        subscription
        for subscription in _subscriptions(gateway, customer_ids, subscription_ids)
        if subscription.organization_id in (None, organization_id) or subscription.subscription_id in own_ids
        if subscription.customer_id in customer_ids or not is_anothers(subscription.customer_id, organization_id)
    ]
    return Found([_dated(gateway, each) for each in own_subscriptions], customer_ids, fetched_at)


def _dated(gateway: StripeGateway, subscription: StripeSubscription) -> StripeSubscription:
    """Return a subscription with the moment since which it is past due: one call more, of those that are."""
    if subscription.status != "past_due" or not subscription.meters:
        return subscription
    return replace(subscription, past_due_since=unpaid_since(gateway, subscription.subscription_id))


def _known_ids(pointer: Pointer | None, record: StoredSubscription | None) -> tuple[set[str], set[str]]:
    """Return the ids of the customers, and of the subscriptions, that the event and the record name."""
    customer_ids: set[str | None] = {*customers_of(record)}
    subscription_ids: set[str | None] = set()
    if pointer is not None:
        customer_ids.add(pointer.customer_id)
        subscription_ids.add(pointer.subscription_id)
    if record is not None:
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
