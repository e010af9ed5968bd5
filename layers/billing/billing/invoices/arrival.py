"""An invoice as Stripe has it, taken into account: whoever has learned of it, and however often."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billing.invoices.closing import settle_up, store_invoice
from billing.invoices.counting import count_period
from billing.invoices.holding import follow_number
from billing.metered_subscriptions import BillingPeriod, MeteredSubscription
from billing.periods import Period
from billing.stripe_gateway.invoices import StripeInvoice


def period_at(subscription: MeteredSubscription, moment: datetime) -> BillingPeriod | None:
    """Return the period of a subscription that a moment lies in; None where it is not known."""
    return next(
        (
            span
            for span in subscription.periods()
            if span.starts_at <= moment and (span.ends_at is None or moment < span.ends_at)
        ),
        None,
    )


def period_of_invoice(subscription: MeteredSubscription, invoice: StripeInvoice) -> BillingPeriod:
    """Return the period whose usage an invoice bills: its own, where it is older than what is remembered."""
    span = period_at(subscription, invoice.starts_at)
    if span is not None:
        return span
    return BillingPeriod(subscription.subscription_id, invoice.customer_id, invoice.starts_at, invoice.ends_at)


def take_invoice(
    organization_id: str, subscription: MeteredSubscription, invoice: StripeInvoice, now: datetime
) -> tuple[Period, Sequence[str]]:
    """Store an invoice with its period, and write what follows from it.

    Return the period, and the ended hours that its draft waits for. Everything here can be done twice, and at once: see
    `billing.invoices`.
    """
    span = period_of_invoice(subscription, invoice)
    period = store_invoice(organization_id, span, invoice, subscription.meters, now)
    if period.is_settled:
        settle_up(organization_id, span, now)
        follow_number(organization_id, subscription, span, period.counted, now)
    elif period.state == "draft":
        count = count_period(organization_id, span, now)
        follow_number(organization_id, subscription, span, count.counted, now)
        return period, count.due
    return period, ()
