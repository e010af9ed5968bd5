"""A month of usage of all organisations, a row for each organisation, hour and meter: read and written in a stream.

In memory are the months of some organisations at once, however many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Literal, NamedTuple

from billing.clock import format_time
from billing.invoices.explaining import explained_hour, known_periods
from billing.meters import METERS
from billing.periods import Period
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord, hours_between
from billing.usage.reading import totals_of

AT_ONCE = 8
# More than any count that can be billed; fits the 64 bits of a column.
LARGEST = 10**18


class Column(NamedTuple):
    """A column of the export, in the order in which they stand."""

    name: str
    type: Literal["text", "whole number", "time", "yes or no"]


COLUMNS = (
    Column("organization_id", "text"),
    Column("window_start", "time"),
    Column("meter", "text"),
    Column("formula", "text"),
    Column("counted", "whole number"),
    Column("carried", "whole number"),
    Column("reported", "whole number"),
    Column("state", "text"),
    Column("reason", "text"),
    Column("is_held", "yes or no"),
    Column("is_sold", "yes or no"),
    Column("unchanged_since", "time"),
    Column("reported_at", "time"),
    Column("corrections", "whole number"),
    Column("stripe_customer_id", "text"),
    Column("stripe_subscription_id", "text"),
    Column("period_starts_at", "time"),
    Column("period_ends_at", "time"),
    Column("period_state", "text"),
    Column("invoice_ids", "text"),
)

Row = tuple[str | int | bool | None, ...]
"""A value for each column; a time is a text as everywhere: `2026-11-23T08:00:00Z`."""


def month_of(text: str) -> tuple[datetime, datetime]:
    """Return the first moment of a UTC month, `2026-10`, and that of the next.

    Raises:
        ValueError: it is no month.
    """
    start = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    return start, (start + timedelta(days=31)).replace(day=1)


def rows_of_recorded(start: datetime, end: datetime, now: datetime) -> Generator[list[Row]]:
    """Yield the rows of each organisation that has a record: a query for each, some of them at once."""
    records = SubscriptionRecord.scan(attributes_to_get=["organization_id"])
    yield from rows_of((record.organization_id for record in records), start, end, now)


def rows_of(organization_ids: Iterable[str], start: datetime, end: datetime, now: datetime) -> Generator[list[Row]]:
    """Yield the rows of each of these organisations."""

    def read(organization_id: str) -> list[Row]:
        return _rows(organization_id, hours_between(organization_id, start, end), now)

    yield from _in_order(read, organization_ids)


def rows_of_everybody(start: datetime, end: datetime, now: datetime) -> Generator[list[Row]]:
    """Yield the rows of each organisation that has usage, with a record or not: UsageTable is read whole."""
    last = format_time(end - timedelta(seconds=1))
    hours = UsageRecord.scan(UsageRecord.window_start.between(format_time(start), last))
    # A scan returns an organisation's hours one after the other, in their order.
    for organization_id, its_hours in groupby(hours, key=lambda hour: hour.organization_id):
        yield _rows(organization_id, its_hours, now)


def _in_order(read: Callable[[str], list[Row]], organization_ids: Iterable[str]) -> Generator[list[Row]]:
    """Read some organisations at once, and yield them in their order; none is read long before it is wanted."""
    executor = ThreadPoolExecutor(AT_ONCE, "export")
    waiting: deque[Future[list[Row]]] = deque()
    try:
        for organization_id in organization_ids:
            waiting.append(executor.submit(read, organization_id))
            if len(waiting) >= AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _rows(organization_id: str, hours: Iterable[UsageRecord], now: datetime) -> list[Row]:
    rows: list[Row] = []
    periods: list[Period] | None = None
    for hour in hours:
        if periods is None:
            periods = known_periods(organization_id, now)
        rows += _rows_of_hour(hour, _period_of(hour, periods))
    return rows


def _period_of(hour: UsageRecord, periods: Sequence[Period]) -> Period | None:
    """Return the period to which an hour belongs, the newest of its customer's; None where none is known."""
    for period in periods:
        until = period.span.hours_until
        is_its_customers = hour.reported_to in (None, period.span.customer_id)
        if hour.start is None or not is_its_customers or hour.start < period.span.first_hour:
            continue
        if until is None or hour.start < until:
            return period
    return None


def _rows_of_hour(record: UsageRecord, period: Period | None) -> Iterator[Row]:
    """Yield a row for each meter of which there is something; of a damaged hour at least one."""
    hour = explained_hour(record, record.carried or {}, "here")
    totals, reported = totals_of(record), record.reported or {}
    names = [meter for meter in METERS if meter.event_name in totals]
    for meter in names or (METERS[:1] if hour.state == "damaged" else ()):
        name = meter.event_name
        yield (
            record.organization_id,
            record.window_start if record.start is not None else None,
            name,
            meter.formula,
            _whole(hour.counted.get(name)),
            _whole(hour.carried.get(name, 0)),
            _whole(reported.get(name)),
            hour.state,
            hour.reason,
            name in hour.held,
            name in period.meters if period is not None else None,
            hour.unchanged_since.get(name),
            format_time(record.reported_at) if record.reported_at is not None else None,
            max(0, len(hour.numbers(name)) - 1),
            record.reported_to or (period.span.customer_id if period is not None else None),
            *_columns_of(period),
        )


def _columns_of(period: Period | None) -> Row:
    if period is None:
        return (None,) * 5
    span = period.span
    return (
        span.subscription_id,
        format_time(span.starts_at),
        format_time(span.ends_at) if span.ends_at is not None else None,
        "damaged" if period.is_damaged else period.state,
        " ".join(sorted(period.invoices)) or None,
    )


def _whole(number: int | None) -> int | None:
    """Return a number that a column can hold; None for one that nobody is billed for."""
    return number if number is not None and abs(number) < LARGEST else None
