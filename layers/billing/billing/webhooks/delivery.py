"""The story of a delivery: verify, look where it points, record it together with its effect."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from billing import clock
from billing.errors import ContentionError, UnavailableError
from billing.metering.plan import UNLINKED
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.subscriptions import retrieve_subscription
from billing.tables.stripe_events import StripeEventRecord, record_event
from billing.tables.subscriptions import SubscriptionRecord, forget_rearming, organizations_with_customer
from billing.tables.usage import make_refused_due, refused_hours
from billing.telemetry import count, logger
from billing.webhooks import ledger
from billing.webhooks.events import (
    METER_ERROR_REPORT,
    NO_METER_FOUND,
    Pointer,
    StripeEvent,
    subscription_pointer,
)
from billing.webhooks.meter_errors import take_meter_errors
from billing.webhooks.refresh import fetch, is_covered

Outcome = Literal["processed", "duplicate", "already_reflected", "ignored"]

# Together some six seconds: longer than a claim lasts, shorter than Stripe waits for the answer.
ATTEMPTS = 14
FIRST_PAUSE_SECONDS = 0.15
LONGEST_PAUSE_SECONDS = 0.9
INDEX_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Delivered:
    """Say what came of a delivery."""

    outcome: Outcome
    organization_id: str | None = None


def deliver(event: StripeEvent, gateway: StripeGateway) -> Delivered:
    """Work off one delivery of a genuine event.

    Raises:
        UnavailableError: Stripe or DynamoDB could not be reached, or others kept writing: Stripe shall deliver again.
    """
    if event.event_type in (METER_ERROR_REPORT, NO_METER_FOUND) and event.is_thin:
        return Delivered(take_meter_errors(event, gateway))
    pointer = subscription_pointer(event)
    if pointer is None:
        return Delivered(_record(event, "ignored"))
    organization_id = _organization_of(pointer)
    if organization_id is None:
        if StripeEventRecord.recorded(event.event_id):
            return Delivered("duplicate")
        pointer = _asked_of_stripe(pointer, gateway)
        organization_id = _organization_of(pointer)
    if organization_id is None:
        count("unknown_subscription")
        return Delivered(_record(event, "ignored"))
    return Delivered(_follow(event, pointer, organization_id, gateway), organization_id)


def _organization_of(pointer: Pointer) -> str | None:
    if pointer.organization_id is not None or pointer.customer_id is None:
        return pointer.organization_id
    return min(organizations_with_customer(pointer.customer_id), default=None)


def _asked_of_stripe(pointer: Pointer, gateway: StripeGateway) -> Pointer:
    subscription = retrieve_subscription(gateway, pointer.subscription_id)
    if subscription is None:
        return pointer
    return replace(pointer, customer_id=subscription.customer_id, organization_id=subscription.organization_id)


def _follow(event: StripeEvent, pointer: Pointer, organization_id: str, gateway: StripeGateway) -> Outcome:
    outcome: Outcome | None = None
    seen: int | None = None
    for attempt in range(ATTEMPTS):
        recorded, record = ledger.read(event.event_id, organization_id, consistent=attempt > 0)
        if attempt > 0 and seen is None:
            seen = ledger.version_of(record)
        if recorded:
            outcome = outcome or "duplicate"
        reflected = recorded or is_covered(event, pointer, record, seen)
        if reflected and (record is None or record.rearm_from is None):
            return outcome or _record(event, "already_reflected", organization_id)
        if not reflected and _is_claimed_by_another(pointer, organization_id, record):
            count("customer_conflict")
            logger.error(
                "Two organisations claim one Stripe customer; the first one keeps it",
                extra={"organization_id": organization_id, "stripe_customer_id": pointer.customer_id},
            )
            return _record(event, "ignored", organization_id)
        if not ledger.claim(organization_id, record):
            _pause(attempt)
        elif reflected and record is not None:
            _finish_linking(record, pointer, gateway)
        else:
            fetched = fetch(gateway, organization_id, pointer, record)
            if fetched is None:
                count("unknown_subscription")
                return _record(event, "ignored", organization_id)
            now = clock.utc_now()
            event_record = _event_record(event, "processed", organization_id, now)
            if not ledger.write(event_record, organization_id, record, fetched, now):
                _pause(attempt)
            elif ledger.links_anew(record, fetched) or (record is not None and record.rearm_from):
                outcome = "processed"
            else:
                return "processed"
    raise ContentionError(f"The subscription of {organization_id} was being changed by others {ATTEMPTS} times")


def _pause(attempt: int) -> None:
    """Wait for the delivery that is at work on the same record: a random time, longer with every attempt."""
    longest = min(FIRST_PAUSE_SECONDS * 1.6**attempt, LONGEST_PAUSE_SECONDS)
    time.sleep(random.uniform(longest / 2, longest))  # noqa: S311  # jitter needs no secrecy


def _is_claimed_by_another(pointer: Pointer, organization_id: str, record: SubscriptionRecord | None) -> bool:
    """Say whether another organisation has this customer, at which the usage of one would overwrite the other's."""
    if pointer.customer_id is None or (record is not None and pointer.customer_id in (record.customer_ids or ())):
        return False
    return bool(set(organizations_with_customer(pointer.customer_id)) - {organization_id})


def _finish_linking(record: SubscriptionRecord, pointer: Pointer, gateway: StripeGateway) -> None:
    """Do what a new customer or subscription asks for, once it is in the table; a redelivery takes it up again.

    The hours that were refused since the subscription began become due. And Stripe is asked once more: an event that
    came while the index did not show the customer yet found no organisation, and nobody else looks where it pointed.

    Raises:
        UnavailableError: the index does not show the customer yet.
    """
    _wait_for_index(record)
    fetched = fetch(gateway, record.organization_id, pointer, record)
    if fetched is not None and not ledger.is_reflected(record, fetched):
        # The loop reads the record again, and finds `rearm_from` still there.
        ledger.write(None, record.organization_id, record, fetched, clock.utc_now())
        return
    for hour in refused_hours(record.organization_id, record.rearm_from):
        if str(hour.refused).partition(":")[0] in UNLINKED:
            make_refused_due(hour)
    forget_rearming(record, record.rearm_from)


def _wait_for_index(record: SubscriptionRecord) -> None:
    for attempt in range(INDEX_ATTEMPTS):
        if record.organization_id in organizations_with_customer(record.stripe_customer_id):
            return
        _pause(attempt)
    raise UnavailableError("The index by_customer does not show a new customer yet")


def _event_record(
    event: StripeEvent, outcome: Outcome, organization_id: str | None, now: datetime
) -> StripeEventRecord:
    return StripeEventRecord.made(event.event_id, event.event_type, event.created, outcome, organization_id, now)


def _record(event: StripeEvent, outcome: Outcome, organization_id: str | None = None) -> Outcome:
    """Record an event that changes nothing; one that has a record already is a duplicate."""
    wrote = record_event(_event_record(event, outcome, organization_id, clock.utc_now()))
    return outcome if wrote else "duplicate"
