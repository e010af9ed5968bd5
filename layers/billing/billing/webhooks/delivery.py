"""The story of a delivery: verify, look where it points, record it together with its effect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from billing import clock
from billing.errors import ContentionError
from billing.settings import relinks_by_reference
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.subscriptions import retrieve_subscription
from billing.tables.customers import is_anothers, organization_with_customer
from billing.tables.stripe_events import StripeEventRecord, record_event
from billing.telemetry import count, logger
from billing.webhooks import ledger
from billing.webhooks.choice import StoredSubscription, choose, claimed_customers, is_conflict
from billing.webhooks.decision import End, FinishLinking, Outcome, Progress, Record, Refresh, decide, leaves_a_link
from billing.webhooks.events import (
    INVOICE_CHANGES,
    METER_ERROR_REPORT,
    NO_METER_FOUND,
    Pointer,
    StripeEvent,
    subscription_pointer,
)
from billing.webhooks.invoices import process_invoice
from billing.webhooks.linking import ATTEMPTS, finish_linking, pause, tell_of_double_billing
from billing.webhooks.meter_errors import process_meter_errors
from billing.webhooks.refresh import find

ANOTHERS_CUSTOMER = "Two organisations claim one Stripe customer; the first one keeps it"
BUYERS_WORD = "A buyer named an organisation that has another Stripe customer; it keeps the one it has"


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
    if not _is_of_this_account(event, gateway):
        count("foreign_events")
        return Delivered(_record(event, "ignored"))
    if event.event_type in (METER_ERROR_REPORT, NO_METER_FOUND) and event.is_thin:
        return Delivered(process_meter_errors(event, gateway))
    pointer = subscription_pointer(event)
    if pointer is None:
        return Delivered(_record(event, "ignored"))
    organization_id = _organization_of(pointer)
    if event.event_type in INVOICE_CHANGES:
        return _deliver_invoice(event, pointer, organization_id, gateway)
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


def _deliver_invoice(
    event: StripeEvent, pointer: Pointer, organization_id: str | None, gateway: StripeGateway
) -> Delivered:
    """Take an invoice into account; the event's record comes last, so that a delivery which dies is done again."""
    if organization_id is None:
        # Another product's, as most invoices of an account may be.
        return Delivered(_record(event, "ignored"))
    if StripeEventRecord.recorded(event.event_id):
        return Delivered("duplicate", organization_id)
    is_ours = process_invoice(event, organization_id, pointer.subscription_id, gateway)
    return Delivered(_record(event, "processed" if is_ours else "ignored", organization_id), organization_id)


def _is_of_this_account(event: StripeEvent, gateway: StripeGateway) -> bool:
    """Say whether the event is of the API key's own account and mode: an endpoint may get others' as well.

    Source: https://docs.stripe.com/connect/webhooks
    """
    is_of_this_mode = event.livemode is None or gateway.livemode in (None, event.livemode)
    return is_of_this_mode and event.account is None


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
            _tell_of_conflict(ANOTHERS_CUSTOMER, pointer, organization_id)
            step = Record("ignored")
        if isinstance(step, Record):
            # A duplicate is not the end: what the event's other delivery has left undone is seen by the next read.
            if _record(event, step.outcome, organization_id) != "duplicate":
                return step.outcome
        elif not ledger.claim(organization_id, reading.record):
            pause(attempt)
        elif isinstance(step, FinishLinking):
            finish_linking(step.record, gateway)
        else:
            refreshed = _refresh(event, pointer, organization_id, reading.record, gateway)
            if refreshed is None:
                pause(attempt)
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
    found = find(gateway, organization_id, pointer, record)
    is_refused = is_conflict(pointer, record, found, relinks=relinks_by_reference())
    fetched = None if is_refused else choose(found, record)
    if fetched is None:
        if is_refused:
            _tell_of_conflict(BUYERS_WORD, pointer, organization_id)
        elif not found.subscriptions:
            count("unknown_subscription")
        outcome = _record(event, "ignored", organization_id)
        return _Refreshed(outcome, is_finished=outcome != "duplicate")
    now = clock.utc_now()
    event_record = _event_record(event, "processed", organization_id, now)
    if not ledger.write(event_record, organization_id, record, fetched, now):
        return None
    tell_of_double_billing(organization_id, fetched)
    return _Refreshed("processed", is_finished=not leaves_a_link(record, fetched))


def _is_claimed_by_another(pointer: Pointer, organization_id: str, record: StoredSubscription | None) -> bool:
    if pointer.customer_id is None or pointer.customer_id in claimed_customers(record):
        return False
    return is_anothers(pointer.customer_id, organization_id)


def _tell_of_conflict(message: str, pointer: Pointer, organization_id: str) -> None:
    count("customer_conflict")
    logger.error(
        message,
        extra={
            "organization_id": organization_id,
            "stripe_customer_id": pointer.customer_id,
            "stripe_subscription_id": pointer.subscription_id,
        },
    )


def _event_record(
    event: StripeEvent, outcome: Outcome, organization_id: str | None, now: datetime
) -> StripeEventRecord:
    return StripeEventRecord.made(event.event_id, event.event_type, event.created, outcome, organization_id, now)


def _record(event: StripeEvent, outcome: Outcome, organization_id: str | None = None) -> Outcome:
    """Record an event that changes nothing; one that has a record already is a duplicate."""
    wrote = record_event(_event_record(event, outcome, organization_id, clock.utc_now()))
    return outcome if wrote else "duplicate"
