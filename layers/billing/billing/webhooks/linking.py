"""What a new customer or subscription asks for, and the refresh of a record without an event."""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from typing import Literal

from billing import clock
from billing.errors import ContentionError
from billing.metered_subscriptions import covering
from billing.metering.plan import UNLINKED
from billing.settings import grace_period
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_limits import OLDEST_USAGE
from billing.tables.subscriptions import forget_rearming
from billing.tables.usage import UsageRecord, make_refused_due, refused_hours
from billing.telemetry import count, logger
from billing.webhooks import ledger
from billing.webhooks.choice import Fetched, StoredSubscription, billed_twice, choose
from billing.webhooks.decision import is_reflected
from billing.webhooks.refresh import find

# Together some six seconds: longer than a claim lasts, shorter than Stripe waits for the response.
ATTEMPTS = 14
FIRST_PAUSE_SECONDS = 0.15
LONGEST_PAUSE_SECONDS = 0.9

Refreshed = Literal["changed", "unchanged", "not_subscribed"]


def pause(attempt: int) -> None:
    """Wait for the delivery that is at work on the same record: a random time, longer with every attempt."""
    longest = min(FIRST_PAUSE_SECONDS * 1.6**attempt, LONGEST_PAUSE_SECONDS)
    time.sleep(random.uniform(longest / 2, longest))  # noqa: S311  # jitter needs no secrecy


def finish_linking(record: StoredSubscription, gateway: StripeGateway) -> None:
    """Do what a new customer or subscription asks for, once it is in the table; a redelivery takes it up again.

    The refused hours in which the organisation had a subscription become due. And Stripe is asked once more: an event
    that came before the customer was known found no organisation, and nobody else looks where it pointed. Only the
    organisation's own customers are asked for: the event at hand may have been refused.
    """
    if record.rearm_from is None:
        return
    fetched = choose(find(gateway, record.organization_id, None, record), record)
    now = clock.utc_now()
    if fetched is not None and not is_reflected(record, fetched, now, grace_period()):
        # The loop reads the record again, and finds `rearm_from` still there.
        ledger.write(None, record.organization_id, record, fetched, now)
        return
    since = max(record.rearm_from, clock.hour_of(now - OLDEST_USAGE))
    for hour in refused_hours(record.organization_id, since):
        if fetched is not None and _is_billable_now(hour, fetched):
            make_refused_due(hour)
    forget_rearming(record.organization_id, record.rearm_from, record.version)


def _is_billable_now(hour: UsageRecord, fetched: Fetched) -> bool:
    """Say whether an hour was refused for want of a subscription that has become known."""
    start = hour.start
    is_unlinked = str(hour.refused).partition(":")[0] in UNLINKED
    return start is not None and is_unlinked and covering(fetched.metered_subscriptions, start) is not None


def tell_of_double_billing(organization_id: str, fetched: Fetched) -> None:
    """Tell of subscriptions that bill the same meter: Stripe invoices the same usage in each of them."""
    subscription_ids = billed_twice(fetched)
    if subscription_ids:
        count("subscription_conflict")
        logger.error(
            "Two subscriptions of an organisation bill the same meter: cancel one of them at Stripe",
            extra={"organization_id": organization_id, "stripe_subscription_ids": subscription_ids},
        )


def refresh_organization(gateway: StripeGateway, organization_id: str, customer_ids: Collection[str]) -> Refreshed:
    """Fetch an organisation's record from Stripe anew, without an event, and finish what it asks for.

    `customer_ids` are customers of which the caller knows that they are the organisation's, also where its record is
    lost; another organisation's are left out.

    Raises:
        UnavailableError: Stripe or DynamoDB could not be reached, or others kept writing the record.
    """
    has_changed = False
    for attempt in range(ATTEMPTS):
        record = ledger.read_record(organization_id)
        if record is not None and record.rearm_from is not None:
            finish_linking(record, gateway)
            continue
        fetched = choose(find(gateway, organization_id, None, record, customer_ids), record)
        if fetched is None:
            return "not_subscribed"
        now = clock.utc_now()
        if record is not None and is_reflected(record, fetched, now, grace_period()):
            return "changed" if has_changed else "unchanged"
        if ledger.write(None, organization_id, record, fetched, now):
            has_changed = True
            tell_of_double_billing(organization_id, fetched)
        else:
            pause(attempt)
    raise ContentionError(f"The subscription of {organization_id} was being changed by others {ATTEMPTS} times")
