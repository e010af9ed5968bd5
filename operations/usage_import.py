"""A file's usage events counted through the same identities as those of the queue, and what comes of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billing.clock import format_time, parse_time
from billing.errors import UnavailableError
from billing.ingestion.events import UsageEvent
from billing.ingestion.transaction import REFUSED_BY_THE_HOUR
from billing.tables.usage_events import UsageEventRecord, event_key
from billing.usage.reading import PeriodOfHour, periods_of_hours
from operations.usage_files import Line, Occurrences, digest_of

# Lines that are counted together, and the attempts at them before the import ends where it is.
LINES_AT_ONCE = 1000
ATTEMPTS, FIRST_WAIT_SECONDS = 5, 1.0
# Of the lines with one code so many are named.
NAMED = 20

CONFLICTING = "conflicting"
# Of the outcomes of `billing.ingestion.counting` that are neither counted nor a duplicate.
REASONS: dict[str, str] = {
    CONFLICTING: "Its source and id have come before with another content; another event needs another id",
    **REFUSED_BY_THE_HOUR,
}


@dataclass(slots=True)
class HourTally:
    """What of a file was counted in one hour of a meter: how many events, and their sum or the newest number."""

    events: int = 0
    value: int = 0
    at: datetime | None = None

    def add(self, event: UsageEvent) -> None:
        """Add an event as its meter's formula says."""
        self.events += 1
        if event.meter.formula == "sum":
            self.value += event.value
        elif self.at is None or event.time >= self.at:
            self.value, self.at = event.value, event.time


@dataclass(slots=True)
class Refusals:
    """The lines with one code: how many, the first of them, and the first one's reason."""

    reason: str
    number: int = 0
    lines: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return them for programs."""
        return {"lines": self.number, "first_lines": self.lines, "reason": self.reason}


HourKey = tuple[str, str, str]
"""Organisation, start of the hour, meter's event name."""


@dataclass(slots=True)
class Tally:
    """What came of a file's lines; memory grows with the hours in it, not with the lines.

    `refuse` is called with each line that was refused.
    """

    refuse: Callable[[Line], None] = lambda line: None
    outcomes: Counter[str] = field(default_factory=Counter)
    hours: dict[HourKey, HourTally] = field(default_factory=dict)
    refused: dict[str, Refusals] = field(default_factory=dict)

    def add(self, line: Line, outcome: str) -> None:
        """Add a line whose event had this outcome."""
        if outcome in ("counted", "duplicate") and line.event is not None:
            self.outcomes[outcome] += 1
            if outcome == "counted":
                key = line.event.organization_id, line.event.window_start, line.event.meter.event_name
                self.hours.setdefault(key, HourTally()).add(line.event)
            return
        code = line.code or outcome
        self.outcomes["refused"] += 1
        refusals = self.refused.setdefault(code, Refusals(line.reason or REASONS.get(code, code)))
        refusals.number += 1
        if len(refusals.lines) < NAMED:
            refusals.lines.append(line.number)
        self.refuse(line)


def import_lines(lines: Sequence[Line], tally: Tally, count: Callable[[Sequence[UsageEvent]], Sequence[str]]) -> None:
    """Count some lines' events, and add all of them to the tally.

    Raises:
        UnavailableError: DynamoDB was not available for a while. The same lines again count what was not counted.
    """
    outcomes = iter(_attempted([line.event for line in lines if line.event is not None], count))
    for line in lines:
        tally.add(line, "refused" if line.event is None else next(outcomes))


def _attempted(events: Sequence[UsageEvent], count: Callable[[Sequence[UsageEvent]], Sequence[str]]) -> Sequence[str]:
    for attempt in range(1, ATTEMPTS):
        try:
            return count(events)
        except UnavailableError:
            wait(attempt)
    return count(events)


def wait(attempt: int) -> None:
    """Sleep before the next attempt, each time twice as long."""
    time.sleep(FIRST_WAIT_SECONDS * 2 ** (attempt - 1))


class Foresight:
    """What would become of events: looked up, and nothing counted; to be closed."""

    def __init__(self) -> None:
        self._occurrences = Occurrences()

    def __call__(self, events: Sequence[UsageEvent]) -> list[str]:
        """Return each event's outcome; what its hour refuses is not foreseen."""
        keys = {event_key(event.source, event.id) for event in events}
        counted = {
            record.event_key: record.content for record in UsageEventRecord.batch_get(keys, consistent_read=True)
        }
        return [self._outcome(event, counted) for event in events]

    def close(self) -> None:
        """Forget them."""
        self._occurrences.close()

    def _outcome(self, event: UsageEvent, counted: dict[str, str]) -> str:
        key = event_key(event.source, event.id)
        is_first = self._occurrences.of(digest_of(key)) == 1
        is_first_so = self._occurrences.of(digest_of([key, event.content])) == 1
        if key in counted:
            return "duplicate" if counted[key] == event.content else CONFLICTING
        if is_first:
            return "counted"
        return CONFLICTING if is_first_so else "duplicate"


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of a meter of an organisation, in one hour, or together in one billing period's hours."""

    organization_id: str
    meter: str
    period: PeriodOfHour | None
    first_hour: str
    last_hour: str
    hours: int
    events: int
    value: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        period = self.period
        return {
            "organization_id": self.organization_id,
            "meter": self.meter,
            "period": period and {"starts_at": period.starts_at, "ends_at": period.ends_at, "state": period.state},
            "first_hour": self.first_hour,
            "last_hour": self.last_hour,
            "hours": self.hours,
            "events": self.events,
            "value": self.value,
        }


def by_hour(hours: dict[HourKey, HourTally]) -> Iterator[Counted]:
    """Yield each hour with the billing period that it lies in, organisation by organisation."""
    organizations: dict[str, list[HourKey]] = {}
    for key in sorted(hours):
        organizations.setdefault(key[0], []).append(key)
    for organization_id, keys in organizations.items():
        periods = periods_of_hours(organization_id, {parse_time(window_start) for _, window_start, _ in keys})
        for key in keys:
            _, window_start, event_name = key
            tally, period = hours[key], periods[parse_time(window_start)]
            yield Counted(organization_id, event_name, period, window_start, window_start, 1, tally.events, tally.value)


def by_period(hours: Iterable[Counted], last_meters: Sequence[str]) -> Iterator[Counted]:
    """Yield the hours of each organisation, period and meter together; of `last` meters the last hour's number."""
    together: dict[tuple[str, str, str], Counted] = {}
    for each in hours:
        start = format_time(each.period.starts_at) if each.period else ""
        key = each.organization_id, start, each.meter
        before = together.get(key)
        if before is None:
            together[key] = each
            continue
        together[key] = Counted(
            each.organization_id,
            each.meter,
            each.period,
            before.first_hour,
            each.last_hour,
            before.hours + 1,
            before.events + each.events,
            each.value if each.meter in last_meters else before.value + each.value,
        )
    yield from (together[key] for key in sorted(together))
