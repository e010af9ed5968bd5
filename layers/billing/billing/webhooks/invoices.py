"""An event about an invoice: its draft waits for the period's usage; once it is final, the two are compared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing import clock
from billing.clock import from_unix
from billing.invoices.arrival import period_at, period_of_invoice, take_invoice
from billing.invoices.drafts import hold_draft_until, waits_until
from billing.invoices.storage import read_period
from billing.metered_subscriptions import MeteredSubscription
from billing.metering_requests import request_run
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.invoices import StripeInvoice, retrieve_invoice
from billing.tables.periods import period_key
from billing.tables.subscriptions import SubscriptionRecord, subscriptions_of
from billing.webhooks.events import INVOICE_CREATED, INVOICE_VOIDED, StripeEvent, unix_seconds
from billing.webhooks.linking import refresh_organization

# The invoice of a new subscription is final at once, and bills no usage.
FIRST_INVOICE = "subscription_create"


def process_invoice(event: StripeEvent, organization_id: str, subscription_id: str, gateway: StripeGateway) -> bool:
    """Take an invoice into account that an event points at; False where it bills none of our meters.

    Everything here can be done twice, and late: what counts is the invoice that Stripe has now. It is fetched, or
    changed, with one call.
    """
    if event.event_type == INVOICE_VOIDED and _is_past_due(organization_id):
        # Nobody owes it any more, so that the payment may be overdue since later: no event of the subscription says so.
        refresh_organization(gateway, organization_id, ())
    subscription = _remembered(organization_id, subscription_id)
    if event.subject.get("billing_reason") == FIRST_INVOICE or subscription is None:
        return False
    invoice = _held(event, organization_id, subscription, gateway) or retrieve_invoice(
        gateway, str(event.subject.get("id"))
    )
    if invoice is None:
        return False
    span = period_of_invoice(subscription, invoice)
    if span.ends_at is None or span.ends_at > invoice.ends_at:
        # The subscription has just ended, or its period was cut short: the event that says so is on its way.
        refresh_organization(gateway, organization_id, ())
        subscription = _remembered(organization_id, subscription_id) or subscription
    _, due = take_invoice(organization_id, subscription, invoice, clock.utc_now())
    if due:
        request_run(organization_id)
    return True


def _is_past_due(organization_id: str) -> bool:
    record = SubscriptionRecord.of(organization_id, consistent=True)
    return record is not None and record.status == "past_due"


def _remembered(organization_id: str, subscription_id: str) -> MeteredSubscription | None:
    """Return a subscription of the organisation that sells our meters, or sold them of late."""
    subscriptions = subscriptions_of(organization_id, consistent=True)
    return next((each for each in subscriptions if each.subscription_id == subscription_id), None)


def _held(
    event: StripeEvent, organization_id: str, subscription: MeteredSubscription, gateway: StripeGateway
) -> StripeInvoice | None:
    """Let a new draft wait for the hour in which its period ends; None where there is no call to make for that.

    A draft that waits longer already is left alone, and so is one that Stripe does not make final by itself.
    """
    if event.event_type != INVOICE_CREATED:
        return None
    starts_at, ends_at = _moment(event.subject.get("period_start")), _moment(event.subject.get("period_end"))
    finalizes_at = _moment(event.subject.get("automatically_finalizes_at"))
    span = period_at(subscription, starts_at) if starts_at is not None else None
    if span is None or ends_at is None or finalizes_at is None:
        return None
    stored = read_period(organization_id, period_key(*span.key))
    until = waits_until(ends_at)
    is_held = stored is not None and stored.state != "open"
    if is_held or finalizes_at >= until or until <= clock.utc_now():
        return None
    return hold_draft_until(organization_id, span, str(event.subject.get("id")), gateway, until)


def _moment(value: Any) -> datetime | None:
    seconds = unix_seconds(value)
    return from_unix(seconds) if seconds else None
