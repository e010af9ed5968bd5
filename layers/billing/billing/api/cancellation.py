"""Ending an organisation's subscription: with its period, or at once and then billed to the last hour.

What Stripe has not been told when a subscription ends at once may be on no invoice. So it ends at once only when no
hour of its organisation is due, the running one included: a run is made first, which tells Stripe what the running hour
counts so far. What is counted later in that hour belongs to the last period still: its draft waits for it as any other
does, and what no invoice takes is told (docs/invoices.md).
"""

from __future__ import annotations

from billing import clock
from billing.errors import NotSubscribedError, StripeRefusedError, SubscriptionStateError, UsageNotToldError
from billing.metering_requests import run_now
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.objects import StripeSubscription
from billing.stripe_gateway.subscriptions import (
    end_at_once,
    end_with_period,
    go_on,
    list_subscriptions,
    retrieve_subscription,
)
from billing.stripe_limits import OLDEST_USAGE
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import due_hours
from billing.webhooks.choice import Found, choose


def end_by_period(organization_id: str, gateway: StripeGateway) -> StripeSubscription:
    """Let the organisation's subscription end with its billing period; once more changes nothing.

    Raises:
        NotSubscribedError: there is none that has begun.
        SubscriptionStateError: it has ended.
        UnavailableError: the same request can succeed later.
    """
    subscription = _living(_followed(organization_id, gateway))
    try:
        return end_with_period(gateway, subscription.subscription_id)
    except StripeRefusedError:
        _living(retrieve_subscription(gateway, subscription.subscription_id))  # it ended meanwhile
        raise


def keep(organization_id: str, gateway: StripeGateway) -> StripeSubscription:
    """Take back that the subscription ends with its period; once more changes nothing.

    Raises:
        NotSubscribedError: there is none that has begun.
        SubscriptionStateError: it has ended, or ends at another time, which somebody agreed in Stripe.
        UnavailableError: the same request can succeed later.
    """
    subscription = _living(_followed(organization_id, gateway))
    if subscription.cancel_at is None and not subscription.cancel_at_period_end:
        return subscription
    # Stripe's portal writes the period's end into `cancel_at`.
    if not subscription.cancel_at_period_end and subscription.cancel_at != subscription.current_period_end:
        raise SubscriptionStateError(
            "The subscription ends at a time that is not its period's end: whoever set that in Stripe can change it"
        )
    try:
        return go_on(gateway, subscription)
    except StripeRefusedError:
        _living(retrieve_subscription(gateway, subscription.subscription_id))
        raise


def end_now(organization_id: str, gateway: StripeGateway, *, prorate: bool) -> StripeSubscription:
    """End the organisation's subscription at once, with an invoice of its usage; one that has ended is left as it is.

    Raises:
        NotSubscribedError: there is none that has begun.
        UsageNotToldError: Stripe does not have all of the usage yet; nothing has ended.
        UnavailableError: the same request can succeed later.
    """
    subscription = _followed(organization_id, gateway)
    if not subscription.is_living:
        return subscription  # a second click, or the answer to the first was lost
    run_now(organization_id)
    now = clock.utc_now()
    unsent = due_hours(organization_id, clock.hour_of(now - OLDEST_USAGE), now)
    if unsent:
        raise UsageNotToldError(
            f"The usage of {len(unsent)} hours, from {unsent[0]} on, is not sent to Stripe yet; nothing has ended. "
            "Try again in a minute"
        )
    return end_at_once(gateway, subscription.subscription_id, prorate=prorate)


def _followed(organization_id: str, gateway: StripeGateway) -> StripeSubscription:
    """Return the subscription that the record follows, as Stripe has it now: a webhook may be on its way."""
    record = SubscriptionRecord.of(organization_id, consistent=True)
    known = {*(record.customer_ids or ()), record.stripe_customer_id} if record is not None else set()
    customer_ids = sorted(filter(None, known))
    found = [each for customer_id in customer_ids for each in list_subscriptions(gateway, customer_id)]
    begun = [each for each in found if each.has_begun]
    chosen = choose(Found(begun, customer_ids, clock.utc_now()), None)
    if chosen is None:
        raise NotSubscribedError("The organisation has no subscription")
    return chosen.subscription


def _living(subscription: StripeSubscription | None) -> StripeSubscription:
    if subscription is None or not subscription.is_living:
        raise SubscriptionStateError("The subscription has ended")
    return subscription
