"""The story of a delivery: verify, look where it points, record it together with its effect."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from datetime import datetime

from billing import clock
from billing.errors import ContentionError
from billing.metering.plan import UNLINKED
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.subscriptions import retrieve_subscription
from billing.stripe_limits import OLDEST_USAGE
from billing.tables.customers import is_anothers, organization_with_customer
from billing.tables.stripe_events import StripeEventRecord, record_event
from billing.tables.subscriptions import forget_rearming
from billing.tables.usage import make_refused_due, refused_hours
from billing.telemetry import count, logger
from billing.webhooks import ledger
from billing.webhooks.decision import (
    End,
    FinishLinking,
    Outcome,
    Progress,
    Record,
    Refresh,
    StoredSubscription,
    claimed_customers,
    decide,
    is_reflected,
    leaves_a_link,
    was_subscribed,
)
from billing.webhooks.events import (
    METER_ERROR_REPORT,
    NO_METER_FOUND,
    Pointer,
    StripeEvent,
    subscription_pointer,
)
from billing.webhooks.meter_errors import process_meter_errors
from billing.webhooks.refresh import fetch

# Together some six seconds: longer than a claim lasts, shorter than Stripe waits for the response.
ATTEMPTS = 14
FIRST_PAUSE_SECONDS = 0.15
LONGEST_PAUSE_SECONDS = 0.9


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of a delivery."""

    outcome: Outcome
    organization_id: str | None = None


def deliver(event: StripeEvent, gateway: StripeGateway) -> Delivered:
    """Process one delivery of a genuine event.

    Raises:
        UnavailableError: Stripe or DynamoDB could not be reached, or others kept writing: Stripe shall deliver again.
    """
    if event.event_type in (METER_ERROR_REPORT, NO_METER_FOUND) and event.is_thin:
        return Delivered(process_meter_errors(event, gateway))
    pointer = subscription_pointer(event)
    if pointer is None:
        return Delivered(_record(event, "ignored"))
    organization_id = _organization_of(pointer)
    if organization_id is None:
        earlier = StripeEventRecord.of(event.event_id)
        if earlier is not None and earlier.organization_id is None:
            return Delivered("duplicate")
        if earlier is not None:
            # Another delivery of the event has found the organisation, and may have died before its link was finished.
            organization_id = earlier.organization_id
        else:
            pointer = _asked_of_stripe(pointer, gateway)
            organization_id = _organization_of(pointer)
    if organization_id is None:
        count("unknown_subscription")
        return Delivered(_record(event, "ignored"))
    return Delivered(_follow(event, pointer, organization_id, gateway), organization_id)


def _organization_of(pointer: Pointer) -> str | None:
    if pointer.organization_id is not None or pointer.customer_id is None:
        return pointer.organization_id
    return organization_with_customer(pointer.customer_id)


def _asked_of_stripe(pointer: Pointer, gateway: StripeGateway) -> Pointer:
    subscription = retrieve_subscription(gateway, pointer.subscription_id)
    if subscription is None:
        return pointer
    return replace(pointer, customer_id=subscription.customer_id, organization_id=subscription.organization_id)


def _follow(event: StripeEvent, pointer: Pointer, organization_id: str, gateway: StripeGateway) -> Outcome:
    """Read, decide and do, until the event has its record and its effect."""
    progress = Progress()
    for attempt in range(ATTEMPTS):
        reading = ledger.read(event.event_id, organization_id)
        progress = progress.after(reading)
        step = decide(event, pointer, reading, progress)
        if isinstance(step, End):
            return step.outcome
        if isinstance(step, Refresh) and _is_claimed_by_another(pointer, organization_id, reading.record):
            _tell_of_conflict(pointer, organization_id)
            step = Record("ignored")
        if isinstance(step, Record):
            # A duplicate is not the end: what the event's other delivery has left undone is seen by the next read.
            if _record(event, step.outcome, organization_id) != "duplicate":
                return step.outcome
        elif not ledger.claim(organization_id, reading.record):
            _pause(attempt)
        elif isinstance(step, FinishLinking):
            _finish_linking(step.record, gateway)
        else:
            refreshed = _refresh(event, pointer, organization_id, reading.record, gateway)
            if refreshed is None:
                _pause(attempt)
            elif refreshed.is_finished:
                return refreshed.outcome
            else:
                progress = replace(progress, outcome=refreshed.outcome)
    raise ContentionError(f"The subscription of {organization_id} was being changed by others {ATTEMPTS} times")


@dataclass(frozen=True, slots=True)
class _Refreshed:
    """What came of a refresh; not finished where a link may be left to finish."""

    outcome: Outcome
    is_finished: bool


def _refresh(
    event: StripeEvent,
    pointer: Pointer,
    organization_id: str,
    record: StoredSubscription | None,
    gateway: StripeGateway,
) -> _Refreshed | None:
    """Fetch the subscription and store it with the event's record; None where another delivery came first."""
    fetched = fetch(gateway, organization_id, pointer, record)
    if fetched is None:
        count("unknown_subscription")
        outcome = _record(event, "ignored", organization_id)
        return _Refreshed(outcome, is_finished=outcome != "duplicate")
    now = clock.utc_now()
    event_record = _event_record(event, "processed", organization_id, now)
    if not ledger.write(event_record, organization_id, record, fetched, now):
        return None
    return _Refreshed("processed", is_finished=not leaves_a_link(record, fetched))


def _pause(attempt: int) -> None:
    """Wait for the delivery that is at work on the same record: a random time, longer with every attempt."""
    longest = min(FIRST_PAUSE_SECONDS * 1.6**attempt, LONGEST_PAUSE_SECONDS)
    time.sleep(random.uniform(longest / 2, longest))  # noqa: S311  # jitter needs no secrecy


def _is_claimed_by_another(pointer: Pointer, organization_id: str, record: StoredSubscription | None) -> bool:
    if pointer.customer_id is None or pointer.customer_id in claimed_customers(record):
        return False
    return is_anothers(pointer.customer_id, organization_id)


def _tell_of_conflict(pointer: Pointer, organization_id: str) -> None:
    count("customer_conflict")
    logger.error(
        "Two organisations claim one Stripe customer; the first one keeps it",
        extra={"organization_id": organization_id, "stripe_customer_id": pointer.customer_id},
    )


def _finish_linking(record: StoredSubscription, gateway: StripeGateway) -> None:
    """Do what a new customer or subscription asks for, once it is in the table; a redelivery takes it up again.

    The refused hours in which the organisation had a subscription become due. And Stripe is asked once more: an event
    that came before the customer was known found no organisation, and nobody else looks where it pointed. Only the
    organisation's own customers are asked for: the event at hand may have been refused.
    """
    if record.rearm_from is None:
        return
    fetched = fetch(gateway, record.organization_id, None, record)
    if fetched is not None and not is_reflected(record, fetched):
        # The loop reads the record again, and finds `rearm_from` still there.
        ledger.write(None, record.organization_id, record, fetched, clock.utc_now())
        return
    since = max(record.rearm_from, clock.hour_of(clock.utc_now() - OLDEST_USAGE))
    for hour in refused_hours(record.organization_id, since):
        is_unlinked = str(hour.refused).partition(":")[0] in UNLINKED
        if is_unlinked and fetched is not None and was_subscribed(clock.parse_time(hour.window_start), fetched):
            make_refused_due(hour)
    forget_rearming(record.organization_id, record.rearm_from, record.version)


def _event_record(
    event: StripeEvent, outcome: Outcome, organization_id: str | None, now: datetime
) -> StripeEventRecord:
    return StripeEventRecord.made(event.event_id, event.event_type, event.created, outcome, organization_id, now)


def _record(event: StripeEvent, outcome: Outcome, organization_id: str | None = None) -> Outcome:
    """Record an event that changes nothing; one that has a record already is a duplicate."""
    wrote = record_event(_event_record(event, outcome, organization_id, clock.utc_now()))
    return outcome if wrote else "duplicate"
