"""Due and refused hours: found, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from billing import clock
from billing.metering.due import due_keys
from billing.metering.hour import Key
from billing.tables.usage import SHARDS, UsageRecord, make_refused_due, refused_hours

# The segments of a scan of the usage table, four of them at a time.
SEGMENTS = 16
SCANS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class RefusedHour:
    """A refused hour; `code` is what stands before the colon of `reason`."""

    organization_id: str
    window_start: str
    reason: str

    @property
    def code(self) -> str:
        """Return the refusal's code."""
        return self.reason.partition(":")[0]

    def as_dict(self) -> dict[str, str]:
        """Return the hour for programs."""
        return {
            "organization_id": self.organization_id,
            "window_start": self.window_start,
            "code": self.code,
            "reason": self.reason,
        }


def count_due(shard: int, until: datetime) -> int:
    """Count a shard's hours that have ended and are due."""
    return sum(1 for _ in due_keys(shard, until))


def oldest_due_hours(until: datetime, limit: int) -> list[Key]:
    """Return the oldest due hours that have ended, over all shards."""
    candidates = [key for shard in range(SHARDS) for key in islice(due_keys(shard, until), limit)]
    return sorted(candidates, key=lambda key: (key[1], key[0]))[:limit]


def refused_in_segment(segment: int, since: datetime) -> list[RefusedHour]:
    """Return the refused hours from `since` on in one of 16 segments of the usage table.

    Refusals have no index, for there should be none: the whole table is read, which costs what its size costs.
    """
    is_refused = UsageRecord.refused.exists()
    is_recent = UsageRecord.window_start >= clock.format_time(since)
    records = UsageRecord.scan(
        is_refused & is_recent,
        segment=segment,
        total_segments=SEGMENTS,
        attributes_to_get=["organization_id", "window_start", "refused"],
    )
    return [RefusedHour(record.organization_id, record.window_start, str(record.refused)) for record in records]


def all_refused(since: datetime) -> Iterator[list[RefusedHour]]:
    """Yield the refused hours from `since` on, segment by segment of the whole table."""
    with ThreadPoolExecutor(SCANS_AT_ONCE, "scan") as executor:
        yield from executor.map(lambda segment: refused_in_segment(segment, since), range(SEGMENTS))


def refused_of(organization_id: str, since: datetime) -> list[RefusedHour]:
    """Return one organisation's refused hours from `since` on, by a query."""
    return [
        RefusedHour(organization_id, record.window_start, str(record.refused))
        for record in refused_hours(organization_id, since)
    ]


def requeue(hour: RefusedHour) -> bool:
    """Make a refused hour due, for the next run to try again; False where it no longer carries that refusal."""
    return make_refused_due(UsageRecord(hour.organization_id, hour.window_start, refused=hour.reason))
