"""Of a `last` meter Stripe bills the newest number of a period, or the one that arrived last: its pages do not say.

So that the two are the same, the newest hour of a period is also the last one that Stripe receives. A run sends an
organisation's hours in their order; where an older hour is sent after the newest one was, that one is sent once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain

from billing.batches import batches
from billing.clock import HOUR, format_time, hour_of, parse_time
from billing.errors import ContentionError
from billing.metered_subscriptions import MeteredSubscription, covering
from billing.metering import due
from billing.metering.hour import UsageHour
from billing.metering.plan import total
from billing.meters import LAST_METERS, METERS
from billing.stripe_limits import LARGEST_VALUE
from billing.tables.subscriptions import subscriptions_of
from billing.tables.usage import UsageRecord, hours_between, make_unreported_due

ATTEMPTS = 5


def send_newest_again(sent: Mapping[str, str], now: datetime) -> None:
    """Make the newest hour of a period due again, if it may have reached Stripe before an older one.

    `sent` has by organisation the newest of those hours that have just reached Stripe. It is called before they are
    settled: a sender that dies in between does it again.

    Raises:
        ContentionError: others kept writing the newest hour.
    """
    starts = {organization_id: parse_time(window_start) for organization_id, window_start in sent.items()}
    # Of the others none that is newer has ended.
    older = {organization_id: start for organization_id, start in starts.items() if start < hour_of(now) - HOUR}
    for organization_ids in batches(sorted(older), due.READ_BATCH):
        part = {organization_id: older[organization_id] for organization_id in organization_ids}
        for organization_id in sorted(part.keys() - _with_newest_to_come(part, now)):
            _send_newest_again(organization_id, part[organization_id], now)


def _with_newest_to_come(starts: Mapping[str, datetime], now: datetime) -> set[str]:
    """Return those organisations whose newest hour is the one that has just ended, and is yet to be sent.

    After an outage, that is nearly all of them: three calls spare two for each.
    """
    this_hour = format_time(hour_of(now))
    last_hour = format_time(hour_of(now) - HOUR)
    organization_ids = list(starts)
    keys = [(organization_id, each) for organization_id in organization_ids for each in (last_hour, this_hour)]
    hours = {hour.key: hour for part in batches(keys, due.READ_BATCH) for hour in due.read_hours(part)}
    links = due.read_links(organization_ids)

    def is_to_come(organization_id: str) -> bool:
        last, current = hours.get((organization_id, last_hour)), hours.get((organization_id, this_hour))
        if last is None or not last.is_due or last.sending is not None:
            return False
        is_the_newest = _has_number(last) and (current is None or not _has_number(current))
        link = links.get(organization_id)
        until = _end_of_period(link.subscriptions if link is not None else (), starts[organization_id])
        is_of_the_period = until is None or last_hour < format_time(until)
        return is_the_newest and is_of_the_period

    return {organization_id for organization_id in organization_ids if is_to_come(organization_id)}


def _has_number(hour: UsageHour) -> bool:
    """Say whether an hour has a number of a `last` meter that Stripe can be told."""
    meters = [
        meter
        for meter in METERS
        if meter.event_name in LAST_METERS and (meter.event_name in hour.counts or meter.event_name in hour.held)
    ]
    try:
        for meter in meters:
            total(hour, meter)
    except ValueError:
        return False
    return bool(meters)


def _end_of_period(subscriptions: Sequence[MeteredSubscription], start: datetime) -> datetime | None:
    """Return the first hour that is not of an hour's period any more; None where that is not known."""
    subscription = covering(subscriptions, start)
    period = subscription.period_of(start) if subscription is not None else None
    return period.hours_until if period is not None else None


def _send_newest_again(organization_id: str, start: datetime, now: datetime) -> None:
    for _ in range(ATTEMPTS):
        newest = _newest_after(organization_id, start, now)
        if newest is None or (newest.due_at is not None and newest.sending is None) or make_unreported_due(newest):
            return
    raise ContentionError(f"The newest hour of {organization_id} was being written by others {ATTEMPTS} times")


def _is_told(hour: UsageRecord) -> bool:
    """Say whether Stripe is told an hour's number: not of one that it refuses, or that no run can send."""
    numbers = [number for name in LAST_METERS if (number := hour.own_total(name)) is not None]
    return hour.start is not None and hour.refused is None and any(number <= LARGEST_VALUE for number in numbers)


def _newest_after(organization_id: str, start: datetime, now: datetime) -> UsageRecord | None:
    """Return the newest hour of the same period that has a number; None where there is no newer one."""
    hours = hours_between(organization_id, start + HOUR, hour_of(now) + HOUR, newest_first=True)
    counted = (hour for hour in hours if _is_told(hour))
    newest = next(counted, None)
    if newest is None:
        return None
    until = _end_of_period(subscriptions_of(organization_id, consistent=True), start)
    return next(
        (hour for hour in chain([newest], counted) if until is None or hour.window_start < format_time(until)), None
    )
