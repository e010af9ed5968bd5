"""A draft waits until the hours of its period have reached Stripe: later than that it takes no usage.

Source: https://docs.stripe.com/billing/subscriptions/usage-based/configure-grace-period
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from billing.clock import HOUR, format_time
from billing.errors import StripeRefusedError
from billing.invoices.closing import store_invoice
from billing.invoices.counting import count_period
from billing.invoices.storage import log_fields, read_period
from billing.metered_subscriptions import BillingPeriod
from billing.periods import ceiling
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.invoices import StripeInvoice, hold_draft, retrieve_invoice
from billing.tables.periods import drafts_in
from billing.telemetry import count, described, logger

# After the hour in which the period ends: that hour's run, and the next one in case it fails.
WAITS_FOR = timedelta(minutes=90)
WAITS_LONGER_BY = 2 * HOUR
# After the period's end. https://docs.stripe.com/billing/subscriptions/usage-based/configure-grace-period
WAITS_AT_MOST = timedelta(hours=72)
# The next run is an hour away, and may take some minutes until it looks.
UNTIL_NEXT_LOOK = timedelta(minutes=80)


def waits_until(ends_at: datetime) -> datetime:
    """Return until when at least the draft waits of a period that ends then."""
    return ceiling(ends_at) + WAITS_FOR


def waits_longer_until(finalizes_at: datetime, ends_at: datetime) -> datetime:
    """Return until when a draft waits whose period has hours that are due; no later where it has waited 72 hours."""
    return min(finalizes_at + WAITS_LONGER_BY, ends_at + WAITS_AT_MOST)


def hold_draft_until(
    organization_id: str, span: BillingPeriod, invoice_id: str, gateway: StripeGateway, until: datetime
) -> StripeInvoice | None:
    """Let a period's draft wait, and return it as it is then; None where Stripe does not know it.

    Where Stripe no longer lets it wait, that is told: what comes too late is owed.
    """
    try:
        return hold_draft(gateway, invoice_id, until)
    except StripeRefusedError as error:
        count("invoices_held", dimension="refused")
        logger.error(
            "Stripe no longer lets an invoice wait for its usage",
            extra=log_fields(organization_id, span) | {"stripe_invoice_id": invoice_id, "reason": str(error)},
        )
        return retrieve_invoice(gateway, invoice_id)


def look_at_drafts(
    shards: Sequence[int], gateway: StripeGateway, now: datetime, may_continue: Callable[[], bool]
) -> None:
    """Let those drafts wait longer whose period has hours that are still due.

    Only drafts that are made final before the next run looks. One that fails is logged, and stops no other.
    """
    for shard in shards:
        for organization_id, period in drafts_in(shard, now, now + UNTIL_NEXT_LOOK):
            if not may_continue():
                return
            try:
                _wait_for_due_hours(organization_id, period, gateway, now)
            except Exception as error:
                count("invoices_held", dimension="failed")
                fields = {"organization_id": organization_id, "period": period} | described(error)
                logger.error("A draft invoice could not be looked at", extra=fields)


def _wait_for_due_hours(organization_id: str, key: str, gateway: StripeGateway, now: datetime) -> None:
    period = read_period(organization_id, key)
    if period is None or period.state != "draft" or period.finalizes_at is None or period.span.ends_at is None:
        return
    due = count_period(organization_id, period.span, now).due
    if not due:
        return
    until = waits_longer_until(period.finalizes_at, period.span.ends_at)
    fields = log_fields(organization_id, period.span) | {"hours_due": len(due), "oldest": due[0]}
    if until <= period.finalizes_at:
        count("invoices_held", dimension="no_longer")
        logger.error("An invoice waited 72 hours for its usage and is made final without it", extra=fields)
        return
    for invoice_id, invoice in period.invoices.items():
        if invoice.closes and invoice.status == "draft":
            held = hold_draft_until(organization_id, period.span, invoice_id, gateway, until)
            if held is not None:
                store_invoice(organization_id, period.span, held, period.meters, now)
    count("invoices_held", dimension="waiting")
    logger.error("An invoice waits for hours that are due", extra=fields | {"until": format_time(until)})
