"""UsageTable: what each organisation used in each UTC hour, and what Stripe has accepted of it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from billing import history
from billing.clock import HOUR, format_time, hour_of, parse_time
from billing.tables.table import Table, TimeAttribute, TotalsAttribute

SHARDS = 16


def shard_of(organization_id: str) -> int:
    """Return which of the 16 parts of the `due` index lists the organisation's hours."""
    return zlib.crc32(organization_id.encode()) % SHARDS


class DueIndex(GlobalSecondaryIndex["UsageRecord"]):
    """The hours whose totals Stripe does not have yet, oldest first within a shard."""

    class Meta:
        """Name the index as template.yaml does."""

        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = NumberAttribute(hash_key=True)
    due_at = UnicodeAttribute(range_key=True)


class UsageRecord(Table):
    """One organisation's hour; `metering/__init__.py` tells what metering's own attributes mean.

    Each meter has an attribute, named as its event. A name that is no Python name, or that this class uses already,
    goes into `attr_name`: `api_calls = NumberAttribute(attr_name="api-calls", null=True)`.
    """

    class Meta:
        """Give PynamoDB the place for the name, which is read at first use."""

        table_name = ""

    environment_variable = "USAGE_TABLE"

    organization_id = UnicodeAttribute(hash_key=True)
    window_start = UnicodeAttribute(range_key=True)
    active_sensors = NumberAttribute(null=True)
    temperature_readings = NumberAttribute(null=True)
    due_shard = NumberAttribute(null=True)
    due_at = UnicodeAttribute(null=True)
    version = NumberAttribute(null=True)
    reported = TotalsAttribute(null=True)
    reported_under = TotalsAttribute(null=True)
    reported_to = UnicodeAttribute(null=True)
    reported_at = TimeAttribute(null=True)
    revision = NumberAttribute(null=True)
    sending = TotalsAttribute(null=True)
    sending_since = TimeAttribute(null=True)
    doubt_until = TimeAttribute(null=True)
    others_until = TimeAttribute(null=True)
    stamped_from = TimeAttribute(null=True)
    carried = TotalsAttribute(null=True)
    held = TotalsAttribute(null=True)
    late = TotalsAttribute(null=True)
    refused = UnicodeAttribute(null=True)
    history = UnicodeAttribute(null=True)

    due = DueIndex()

    @classmethod
    def of(cls, organization_id: str, window_start: str) -> UsageRecord:
        """Return an hour, read consistently; one of which nothing is known where it has no item."""
        try:
            return cls.get(organization_id, window_start, consistent_read=True)
        except cls.DoesNotExist:
            return cls(organization_id, window_start)

    @property
    def start(self) -> datetime | None:
        """Return when the hour starts; None where its key is not the start of a UTC hour."""
        try:
            start = parse_time(self.window_start)
        except ValueError:
            return None
        return start if hour_of(start) == start else None

    @property
    def is_hidden(self) -> bool:
        """Say whether the hour is due where no run looks: under another time than its end, or in a wrong shard."""
        if self.due_at is None and self.due_shard is None:
            return False
        is_listed = self.due_at is not None and self.due_shard == shard_of(self.organization_id)
        return not is_listed or (self.start is not None and str(self.due_at) > end_of(self.window_start))

    def counted(self, event_name: str) -> float | None:
        """Return what was counted of a meter; None where nothing was."""
        number: float | None = self.attribute_values.get(_python_name(event_name))
        return number

    def own_total(self, event_name: str) -> int | None:
        """Return what was counted as Stripe takes it, without what earlier periods owe; None where nothing was.

        An hour that holds a number of a `last` meter has that one, unless another was recorded in it.
        """
        number = self.counted(event_name)
        if number is None:
            return (self.held or {}).get(event_name)
        return max(0, math.floor(number))


@cache  # reading a thousand hours asks for it thousands of times
def _python_name(event_name: str) -> str:
    for name, attribute in UsageRecord.get_attributes().items():
        if attribute.attr_name == event_name:
            return name
    raise LookupError(f"UsageRecord has no attribute for the meter {event_name}: add it in tables/usage.py")


@lru_cache(maxsize=1024)  # more hours than usage may be old; a batch of usage events asks thousands of times
def end_of(window_start: str) -> str:
    """Return when an hour ends, as `due_at` has it."""
    return format_time(parse_time(window_start) + HOUR)


def _due_actions(organization_id: str, window_start: str) -> list[Any]:
    return [UsageRecord.due_shard.set(shard_of(organization_id)), UsageRecord.due_at.set(end_of(window_start))]


def hours_between(
    organization_id: str, start: datetime, end: datetime, *, newest_first: bool = False
) -> Iterator[UsageRecord]:
    """Yield an organisation's hours from `start` up to, not including, `end`, in order, page by page.

    With `newest_first` in the other order, in small pages: for whoever needs few of them.
    """
    between = UsageRecord.window_start.between(format_time(start), format_time(end))
    page_size = 3 if newest_first else None
    for record in UsageRecord.query(
        organization_id, between, consistent_read=True, scan_index_forward=not newest_first, page_size=page_size
    ):
        if record.window_start != format_time(end):
            yield record


def hours_to_look_at(
    organization_id: str, start: datetime, end: datetime, reported_since: datetime
) -> Iterator[UsageRecord]:
    """Yield an organisation's hours from `start` up to, not including, `end` of which something may be wrong.

    They were reported at that moment or later; or are due, perhaps where no run looks; or nothing became of them.
    DynamoDB reads, and bills, all hours in between; not consistently, at half the price.
    """
    was_reported_late = UsageRecord.reported_at >= reported_since
    is_due = UsageRecord.due_at.exists() | UsageRecord.due_shard.exists()
    came_to_nothing = UsageRecord.reported.does_not_exist() & UsageRecord.refused.does_not_exist()
    yield from UsageRecord.query(
        organization_id,
        UsageRecord.window_start.between(format_time(start), format_time(end - timedelta(seconds=1))),
        filter_condition=was_reported_late | is_due | came_to_nothing,
    )


def refused_hours(organization_id: str, since: datetime) -> Iterator[UsageRecord]:
    """Yield an organisation's refused hours from `since` on, read consistently."""
    yield from UsageRecord.query(
        organization_id,
        UsageRecord.window_start >= format_time(since),
        filter_condition=UsageRecord.refused.exists(),
        consistent_read=True,
    )


def due_hours(organization_id: str, since: datetime, until: datetime) -> list[str]:
    """Return the organisation's due hours that begin in this time, read consistently, the oldest first."""
    hours = UsageRecord.query(
        organization_id,
        UsageRecord.window_start.between(format_time(since), format_time(until)),
        filter_condition=UsageRecord.due_at.exists(),
        attributes_to_get=["organization_id", "window_start"],
        consistent_read=True,
    )
    return [hour.window_start for hour in hours]


def make_refused_due(record: UsageRecord) -> bool:
    """Make a refused hour due again; False where it no longer carries that refusal."""
    is_as_refused = UsageRecord.refused == record.refused  # a run since then may have billed it, or refused it anew
    due = _due_actions(record.organization_id, record.window_start)
    return record.update_if([*due, UsageRecord.refused.remove()], is_as_refused)


def make_visible(record: UsageRecord) -> bool:
    """Make an hour due where runs look; False where anybody in metering, or a writer of usage, has been there since."""
    is_as_read = UsageRecord.due_at.does_not_exist() if record.due_at is None else UsageRecord.due_at == record.due_at
    return record.update_if(
        _due_actions(record.organization_id, record.window_start), is_at_version(record.version) & is_as_read
    )


def is_at_version(version: float | None) -> Any:
    """Return the condition that nobody in metering has written an hour since it had this version."""
    return UsageRecord.version.does_not_exist() if version is None else UsageRecord.version == version


def _next_version(record: UsageRecord) -> Any:
    return UsageRecord.version.set(int(record.version or 0) + 1)


def _due_anew(record: UsageRecord) -> list[Any]:
    return [*_due_actions(record.organization_id, record.window_start), _next_version(record)]


def _history_actions(record: UsageRecord) -> list[Any]:
    """Return what keeps what Stripe has accepted of an hour, where that is going to be replaced or removed."""
    reported_at = format_time(record.reported_at) if record.reported_at is not None else ""
    text = history.replaced(record.history, record.reported or {}, reported_at, record.reported_under or {})
    return [] if text is None else [UsageRecord.history.set(text)]


def carrying_actions(record: UsageRecord, carried: Mapping[str, int], now: datetime) -> list[Any]:
    """Return what makes an hour tell Stripe these totals beside its own: it is due again, as its next version.

    Only a part of a transaction with the period whose hour it is, and only if the hour is as it was read.
    """
    text = history.with_entries(record.history, [history.Entry(format_time(now), "carried", carried)])
    return [
        *_due_anew(record),
        UsageRecord.carried.set(carried),
        UsageRecord.history.set(text),
        UsageRecord.refused.remove(),
    ]


def hold_in_hour(record: UsageRecord, numbers: Mapping[str, int]) -> bool:
    """Let an hour tell Stripe these numbers where it has none of its own; False where it was written meanwhile."""
    is_as_read = is_at_version(record.version)  # nobody in metering is sending other totals of it
    return record.update_if([*_due_anew(record), UsageRecord.held.set(numbers)], is_as_read)


def make_unreported_due(record: UsageRecord) -> bool:
    """Make an hour due with nothing reported, so that all its totals are sent again under a new revision.

    A revision of its own: no identifier that Stripe has dropped is used again. False where metering has written the
    hour since the record was read.
    """
    is_as_read = is_at_version(record.version)  # what was found out about the hour is true of it still
    return record.update_if(
        [
            *_due_anew(record),
            *_history_actions(record),
            UsageRecord.reported.remove(),
            UsageRecord.revision.set(int(record.revision or 0) + 1),
        ],
        is_as_read,
    )


def refuse_reported(record: UsageRecord, event_name: str, reason: str) -> bool:
    """Mark an hour refused after Stripe first took and later rejected one of its events.

    False where metering has written the hour since the record was read, or where it is due.
    """
    is_as_read = is_at_version(record.version)  # the rejected event is the last one that was sent for it
    is_not_due = UsageRecord.due_at.does_not_exist()  # a due hour is sent again anyway: Stripe may accept it then
    has_reported = UsageRecord.reported.exists()  # DynamoDB removes a meter only from a map that is there
    return record.update_if(
        [
            UsageRecord.refused.set(reason),
            _next_version(record),
            *_history_actions(record),
            UsageRecord.reported[event_name].remove(),
        ],
        is_as_read & is_not_due & has_reported,
    )
