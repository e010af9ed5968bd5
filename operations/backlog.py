"""Due and refused hours: found, and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from billing import clock
from billing.metering.due import due_keys
from billing.metering.hour import NO_SUCH_CUSTOMER, Key
from billing.metering.plan import INVALID_USAGE, TOO_OLD, UNLINKED
from billing.metering.sending import REFUSED_BY_STRIPE
from billing.meters import METERS
from billing.tables.usage import SHARDS, UsageRecord, make_refused_due, refused_hours
from billing.usage.reading import totals_of
from billing.webhooks.meter_errors import REFUSED_FOR_GOOD

# The segments of a scan of the usage table, four of them at a time.
SEGMENTS = 16
SCANS_AT_ONCE = 4


# The codes of refusals that this stack gives; those of Stripe's own that are not among them are read from the hours.
CODES = (*UNLINKED, INVALID_USAGE, TOO_OLD, NO_SUCH_CUSTOMER, REFUSED_BY_STRIPE, *sorted(REFUSED_FOR_GOOD))


@dataclass(frozen=True, slots=True)
class RefusedHour:
    """A refused hour: the totals that Stripe was to get, those that it had before, and why it gets no others."""

    organization_id: str
    window_start: str
    reason: str
    counted: Mapping[str, int]
    at_stripe: Mapping[str, int]

    @property
    def code(self) -> str:
        """Return the refusal's code: what stands before the colon of `reason`."""
        return self.reason.partition(":")[0]

    def as_dict(self) -> dict[str, Any]:
        """Return the hour for programs."""
        return {
            "organization_id": self.organization_id,
            "window_start": self.window_start,
            "code": self.code,
            "reason": self.reason,
            "meters": {
                name: {"counted": total, "at_stripe": had, "difference": had - total}
                for name, total in self.counted.items()
                for had in [self.at_stripe.get(name, 0)]
            },
        }


def _refused_hour(record: UsageRecord) -> RefusedHour:
    return RefusedHour(
        record.organization_id, record.window_start, str(record.refused), totals_of(record), dict(record.reported or {})
    )


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
        attributes_to_get=[
            *("organization_id", "window_start", "refused", "reported", "carried", "held"),
            *(meter.event_name for meter in METERS),
        ],
    )
    return [_refused_hour(record) for record in records]


def all_refused(since: datetime) -> Iterator[list[RefusedHour]]:
    """Yield the refused hours from `since` on, segment by segment of the whole table."""
    executor = ThreadPoolExecutor(SCANS_AT_ONCE, "scan")
    try:
        yield from executor.map(lambda segment: refused_in_segment(segment, since), range(SEGMENTS))
    finally:
        # ^C does not wait for the rest of a table.
        executor.shutdown(wait=False, cancel_futures=True)


def refused_of(organization_id: str, since: datetime) -> list[RefusedHour]:
    """Return one organisation's refused hours from `since` on, by a query."""
    return [_refused_hour(record) for record in refused_hours(organization_id, since)]


def requeue(hour: RefusedHour) -> bool:
    """Make a refused hour due, for the next run to try again; False where it no longer carries that refusal."""
    return make_refused_due(UsageRecord(hour.organization_id, hour.window_start, refused=hour.reason))
