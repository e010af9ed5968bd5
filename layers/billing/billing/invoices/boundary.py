"""Whose the hour is in which one period ends and the next begins, and whether an hour is invoiced still. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from billing.meters import LAST_METERS, SUM_METERS
from billing.periods import LastHour, Period


def seen_of_last_hour(period: Period) -> LastHour:
    """Return with which period Stripe bills the hour of a boundary, where this one's invoice shows it.

    Stripe's pages do not say. It matters only to what is compared: the hour is on one of two invoices.
    """
    if not period.is_in_units or period.span.is_trial:
        return ""
    for name in SUM_METERS:
        here, following = (period.counted_as(name, with_last_hour=with_it) for with_it in (True, False))
        if name in period.meters and here != following and period.invoiced(name) in (here, following):
            return "here" if period.invoiced(name) == here else "next"
    return ""


def bills_last_hour(periods: Iterable[Period]) -> bool:
    """Say whether Stripe bills the hour in which a period ends with that period, as far as its invoices have shown."""
    seen = [period.last_hour_is for period in periods]
    return seen.count("here") > seen.count("next")


def has_last_hour(period: Period, periods: Sequence[Period]) -> bool:
    """Say whether the hour in which a period ends is on its invoice: as that has shown, else as most others have."""
    return period.last_hour_is == "here" if period.last_hour_is else bills_last_hour(periods)


def lacks_first_hour(period: Period, periods: Sequence[Period]) -> bool:
    """Say whether the hour in which a period begins is on the invoice of the one before; `periods` are all of them."""
    if period.span.is_first:
        return False
    its_subscriptions = (each for each in periods if each.span.subscription_id == period.span.subscription_id)
    before = next((each for each in its_subscriptions if each.span.ends_at == period.span.starts_at), None)
    return bills_last_hour(periods) if before is None else has_last_hour(before, periods)


def counted_on_invoice(period: Period, periods: Sequence[Period], event_name: str) -> int:
    """Return what a settled period's hours counted when they were last looked at: those that are on its invoice."""
    counted, last = period.counted.get(event_name, 0), period.in_last_hour.get(event_name)
    if event_name in LAST_METERS and last is not None and has_last_hour(period, periods):
        return last
    if lacks_first_hour(period, periods):
        counted -= period.in_first_hour.get(event_name, 0)
    return counted + (last or 0) if has_last_hour(period, periods) else counted


def settled_period_of(
    periods: Sequence[Period], window_start: datetime, customer_id: str | None, subscription_id: str | None
) -> Period | None:
    """Return the settled period to which an hour belongs: Stripe invoices it no more.

    An hour that was sent before is its customer's, any other the subscription's that sold it, if it is still known.
    """
    with_last_hour = bills_last_hour(periods)
    for period in periods:
        until = period.reaches_to(with_last_hour=with_last_hour)
        is_in_it = until is not None and period.begins_with(with_last_hour=with_last_hour) <= window_start < until
        if customer_id is not None:
            is_whose = period.span.customer_id == customer_id
        else:
            is_whose = subscription_id in (None, period.span.subscription_id)
        if is_in_it and is_whose and period.is_settled:
            return period
    return None
