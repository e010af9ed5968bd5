"""Billing periods: https://docs.stripe.com/billing/subscriptions/billing-cycle."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime


def period_end(start: int, anchor: int, interval: str, count: int = 1) -> int:
    """Return when the period that starts at `start` ends, in Unix seconds.

    Months keep the anchor's day of the month where they have it, else end on their last day.
    """
    if interval in ("day", "week"):
        return start + count * (86400 if interval == "day" else 7 * 86400)
    begins, anchored = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(anchor, UTC)
    months = begins.year * 12 + begins.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    day = min(anchored.day, calendar.monthrange(year, month + 1)[1])
    return int(anchored.replace(year=year, month=month + 1, day=day).timestamp())
