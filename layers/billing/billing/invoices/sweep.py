"""Periods whose webhooks never came, and those that no invoice bills: looked for once a day, in what is remembered.

Stripe is asked only about a period that has ended and is not settled: of a period whose webhooks came, never. What
nobody has written though it follows from the periods is written, as where the process died that had settled one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from billing.clock import HOUR
from billing.invoices.arrival import take_invoice
from billing.invoices.closing import is_behind, settle_up, settle_without_invoice, write_balance
from billing.invoices.counting import count_period
from billing.invoices.drafts import WAITS_AT_MOST
from billing.invoices.holding import follow_number
from billing.invoices.storage import read_periods
from billing.metered_subscriptions import BillingPeriod, MeteredSubscription, PeriodKey
from billing.periods import Period
from billing.rate_limit import RateLimit
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.invoices import list_invoices

# Stripe makes a period's invoice within the hour, and its webhook may take some time.
TIME_TO_COME = 2 * HOUR
# https://docs.stripe.com/billing/invoices/subscription: an invoice is made when its period ends.
BEFORE_ITS_END = timedelta(minutes=5)


def sweep_periods(
    organization_id: str,
    subscriptions: Sequence[MeteredSubscription],
    gateway: StripeGateway,
    now: datetime,
    limit: RateLimit,
) -> int:
    """Look at an organisation's ended periods that are not settled; return for how many Stripe was asked."""
    asked = 0
    stored: dict[PeriodKey, Period] | None = None
    for subscription in subscriptions:
        for span in subscription.periods():
            if span.ends_at is None or span.ends_at + TIME_TO_COME > now:
                continue
            if stored is None:
                stored = {period.span.key: period for period in read_periods(organization_id)}
            if _is_to_be_asked_for(stored.get(span.key), now):
                asked += 1
                limit.wait(1)
                _look_at(organization_id, subscription, span, gateway, now)
    if stored is not None and is_behind(tuple(stored.values()), subscriptions, now):
        # Whoever was to write it has died; or a period has begun that can carry it, and LateUsage may be another.
        write_balance(organization_id, now)
    return asked


def _is_to_be_asked_for(period: Period | None, now: datetime) -> bool:
    """Say whether Stripe may know more of an ended period than its item: an invoice, or that its draft is final."""
    if period is None or period.state == "open" or period.is_damaged:
        return True
    return period.state == "draft" and (period.finalizes_at is None or period.finalizes_at + TIME_TO_COME <= now)


def _look_at(
    organization_id: str,
    subscription: MeteredSubscription,
    span: BillingPeriod,
    gateway: StripeGateway,
    now: datetime,
) -> None:
    """Take the period's invoices into account; settle it where none is going to come."""
    if span.ends_at is None:
        return
    is_found = False
    for invoice in list_invoices(gateway, span.subscription_id, span.starts_at + BEFORE_ITS_END):
        if span.starts_at <= invoice.starts_at < span.ends_at:
            period, _ = take_invoice(organization_id, subscription, invoice, now)
            is_found = is_found or period.is_settled or period.state == "draft"
    if not is_found and span.ends_at + WAITS_AT_MOST <= now:
        settle_without_invoice(organization_id, span, subscription.meters, now)
        settle_up(organization_id, span, now)
    if not is_found:
        follow_number(organization_id, subscription, span, count_period(organization_id, span, now).counted, now)
