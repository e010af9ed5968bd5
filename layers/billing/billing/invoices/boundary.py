"""Whose the hour is in which one period ends and the next begins, and whether an hour is invoiced still. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from billing.meters import SUM_METERS
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
