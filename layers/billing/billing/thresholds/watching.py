"""What a run notes of an organisation's limits: which of them the periods of its hours have reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from billing.clock import parse_time
from billing.invoices.counting import count_period
from billing.invoices.storage import change_period
from billing.metered_subscriptions import BillingPeriod, MeteredSubscription, covering
from billing.periods import Period
from billing.thresholds.limits import from_text, reached


def note_reached(
    organization_id: str,
    thresholds: str,
    subscriptions: Sequence[MeteredSubscription],
    window_starts: Iterable[str],
    now: datetime,
) -> None:
    """Note which limits the periods of these hours have reached: recomputed from all hours, never counted up.

    One query for each period. Of a `last` meter the highest number of the period counts.

    Raises:
        ValueError: the limits are damaged.
        ContentionError: others kept writing the period.
    """
    limits = from_text(thresholds)
    for span in _periods_of(subscriptions, window_starts):
        count = count_period(organization_id, span, now)
        counted = {**count.counted, **count.highest}

        def change(period: Period, counted: dict[str, int] = counted) -> Period:
            return replace(period, reached=reached(limits, counted, period.reached))

        change_period(organization_id, span, now, change)


def _periods_of(subscriptions: Sequence[MeteredSubscription], window_starts: Iterable[str]) -> Iterable[BillingPeriod]:
    spans: dict[tuple[str, datetime], BillingPeriod] = {}
    for window_start in window_starts:
        try:
            start = parse_time(window_start)
        except ValueError:
            continue  # the hour is refused
        subscription = covering(subscriptions, start)
        span = subscription.period_of(start) if subscription is not None else None
        if span is not None:
            spans[span.key] = span
    return spans.values()
