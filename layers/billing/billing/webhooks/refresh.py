"""What Stripe has now: of all subscriptions of an organisation's customers, the one to follow."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from billing import clock
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.objects import StripeSubscription
from billing.stripe_gateway.subscriptions import list_subscriptions, retrieve_subscription
from billing.tables.subscriptions import SubscriptionRecord
from billing.webhooks.events import Pointer, StripeEvent
from billing.webhooks.ledger import Fetched

# Stripe's clock and ours may differ by less than this.
CLOCK_TOLERANCE = timedelta(minutes=1)


def is_covered(event: StripeEvent, pointer: Pointer, record: SubscriptionRecord | None, seen: int | None) -> bool:
    """Say whether the stored record was fetched after everything that this event could tell.

    It was, where the fetch began a minute after Stripe created the event; or where the fetch began from a version that
    is newer than `seen`, the version that was there, read consistently, when the event had reached us already.
    """
    if record is None or record.fetched_at is None or pointer.customer_id not in (record.customer_ids or ()):
        return False
    if seen is not None and record.fetched_from is not None and record.fetched_from > seen:
        return True
    return event.created is not None and record.fetched_at - CLOCK_TOLERANCE >= clock.from_unix(event.created)


def fetch(
    gateway: StripeGateway, organization_id: str, pointer: Pointer, record: SubscriptionRecord | None
) -> Fetched | None:
    """Ask Stripe for the organisation's subscriptions; None where it has none.

    All customers that the organisation has had are asked, and all their subscriptions looked at: so the answer depends
    on what Stripe has, and not on which event happened to be the last.
    """
    fetched_at = clock.utc_now()
    customer_ids = {pointer.customer_id} if pointer.customer_id else set()
    expected = {pointer.subscription_id}
    if record is not None:
        customer_ids |= (record.customer_ids or set()) | {record.stripe_customer_id}
        expected.add(record.stripe_subscription_id)
    found = {
        subscription.subscription_id: subscription
        for customer_id in sorted(filter(None, customer_ids))
        for subscription in list_subscriptions(gateway, customer_id)
    }
    # A deleted customer's list may be gone while its subscriptions can still be read.
    for subscription_id in filter(None, expected - found.keys()):
        subscription = retrieve_subscription(gateway, subscription_id)
        if subscription is not None:
            found[subscription_id] = subscription
    ours = [
        subscription
        for subscription in found.values()
        if subscription.organization_id in (None, organization_id) or subscription.subscription_id in expected
    ]
    if not ours:
        return None
    newest = newest_living(ours)
    return Fetched(newest, {*filter(None, customer_ids), newest.customer_id}, fetched_at)


def newest_living(subscriptions: Iterable[StripeSubscription]) -> StripeSubscription:
    """Return the newest subscription that can bill; else the newest that may yet, else the newest of the ended.

    A second checkout whose first payment is open (`incomplete`) does not hide the subscription that is being used.
    """

    def rank(subscription: StripeSubscription) -> tuple[int, int, str]:
        living = 0 if not subscription.is_living else 1 if subscription.status == "incomplete" else 2
        return living, subscription.created, subscription.subscription_id

    return max(subscriptions, key=rank)
