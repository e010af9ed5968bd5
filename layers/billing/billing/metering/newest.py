"""Of a `last` meter Stripe bills the newest number of a period, or the one that arrived last: its pages do not say.

So that the two are the same, the newest hour of a period is also the last one that Stripe receives. A run sends an
organisation's hours in their order; where an older hour is sent after the newest one was, that one is sent once more.
"""

from __future__ import annotations

from datetime import datetime
from itertools import chain

from billing.clock import HOUR, format_time, hour_of, parse_time
from billing.errors import ContentionError
from billing.metered_subscriptions import covering
from billing.meters import LAST_METERS
from billing.tables.subscriptions import subscriptions_of
from billing.tables.usage import UsageRecord, hours_between, make_unreported_due

ATTEMPTS = 5


def send_newest_again(organization_id: str, window_start: str, now: datetime) -> None:
    """Make the newest hour of an hour's period due again, if it may have reached Stripe before that hour.

    Before that hour is settled: a sender that dies in between does it again.

    Raises:
        ContentionError: others kept writing the newest hour.
    """
    start = parse_time(window_start)
    if start >= hour_of(now) - HOUR:
        return  # none that is newer has ended
    for _ in range(ATTEMPTS):
        newest = _newest_after(organization_id, start, now)
        if newest is None or (newest.due_at is not None and newest.sending is None) or make_unreported_due(newest):
            return
    raise ContentionError(f"The newest hour of {organization_id} was being written by others {ATTEMPTS} times")


def _newest_after(organization_id: str, start: datetime, now: datetime) -> UsageRecord | None:
    """Return the newest hour of the same period that has a number; None where there is no newer one."""
    hours = hours_between(organization_id, start + HOUR, hour_of(now) + HOUR, newest_first=True)
    counted = (hour for hour in hours if hour.start is not None and any(map(hour.own_total, LAST_METERS)))
    newest = next(counted, None)
    if newest is None:
        return None
    subscription = covering(subscriptions_of(organization_id, consistent=True), start)
    period = subscription.period_of(start) if subscription is not None else None
    until = period.hours_until if period is not None else None
    return next(
        (hour for hour in chain([newest], counted) if until is None or hour.window_start < format_time(until)), None
    )
