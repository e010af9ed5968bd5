"""Due hours, refused hours, and hours that no run can see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from billing.clock import format_time
from billing.metering.due import oldest_due
from billing.meters import METERS
from billing.stripe_limits import OLDEST_USAGE
from billing.tables.usage import UsageRecord
from billing.usage.reading import state_of
from operations.backlog import SCANS_AT_ONCE, SEGMENTS
from operations.doctor.findings import MOST_NAMED, Finding, bad, good, named
from operations.doctor.place import Place

# As the alarm hours-are-overdue has it.
OVERDUE_AFTER = timedelta(hours=2)
RECONCILE = "Run `operate reconcile`, which makes those of the past two days due (--start for older ones)."


def check_due(place: Place) -> Iterator[Finding]:
    """Read the oldest due hour of each of the 16 shards."""
    yield judge_due(oldest_due(), place.now)


def judge_due(oldest_end: datetime | None, now: datetime) -> Finding:
    """Judge when the oldest due hour ended."""
    subject = "Oldest due hour"
    if oldest_end is None or oldest_end > now:
        return good(subject, "no hour that has ended is due")
    age, ended = now - oldest_end, f"ended {format_time(oldest_end)}"
    if age > OVERDUE_AFTER:
        hours = int(age.total_seconds()) // 3600
        return bad(subject, f"{ended}, {hours} hours ago", "See hours-are-overdue in docs/runbook.md; `operate due`.")
    return good(subject, ended)


def check_hidden(place: Place) -> Iterator[Finding]:
    """Read the whole index of due hours, which has an entry only for as long as an hour is due."""
    hidden = [_name(record) for record in UsageRecord.due.scan() if record.is_hidden]
    yield judge_hidden(hidden)


def judge_hidden(hidden: Iterable[str]) -> Finding:
    """Judge hours that are due under another time than their end, or in a shard that is not theirs."""
    hours = list(hidden)
    if hours:
        return bad("Hidden hours", f"{len(hours)} are due where no run looks: {named(hours)}", RECONCILE)
    return good("Hidden hours", "none among the due ones")


@dataclass
class Scanned:
    """What a scan of the usage table found: refusals by code; how many hours, and which, are not as they must be."""

    refused: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        """Count an hour, and keep the first names."""
        self.numbers[kind] += 1
        if self.numbers[kind] <= MOST_NAMED:
            self.examples.setdefault(kind, []).append(name)

    def add_all(self, other: Scanned) -> None:
        """Add what another segment has."""
        self.refused += other.refused
        self.numbers += other.numbers
        for kind, names in other.examples.items():
            self.examples.setdefault(kind, []).extend(names)


def check_all_hours(place: Place) -> Iterator[Finding]:
    """Scan the usage table, which costs what its size costs."""
    if not place.is_deep:
        return
    found = Scanned()
    with ThreadPoolExecutor(SCANS_AT_ONCE, "scan") as executor:
        for part in executor.map(partial(_scan, since=format_time(place.now - OLDEST_USAGE)), range(SEGMENTS)):
            found.add_all(part)
    yield judge_refused(found.refused)
    yield from judge_scanned(found)


def _scan(segment: int, since: str) -> Scanned:
    found = Scanned()
    names = {"organization_id", "window_start", "due_at", "due_shard", "refused", "reported", "carried", "held", "late"}
    attributes = [*sorted(names), *(meter.event_name for meter in METERS)]
    for record in UsageRecord.scan(segment=segment, total_segments=SEGMENTS, attributes_to_get=attributes):
        state = state_of(record)
        if record.is_hidden or state in ("damaged", "unreported"):
            found.add("hidden" if record.is_hidden else state, _name(record))
        if state == "refused" and record.window_start >= since:
            found.refused[str(record.refused).partition(":")[0]] += 1
    return found


def judge_refused(refused: Mapping[str, int]) -> Finding:
    """Judge the refused hours of the past 35 days, by code."""
    subject = "Refused hours"
    if not refused:
        return good(subject, f"none in the past {OLDEST_USAGE.days} days")
    counts = ", ".join(f"{number} {code}" for code, number in Counter(refused).most_common())
    return bad(subject, counts, "`operate requeue-refused --dry-run` lists them; docs/usage.md has each code.")


def judge_scanned(found: Scanned) -> Iterator[Finding]:
    """Judge hours that a scan found: no run will ever send them, or can read them."""
    meanings = {
        "hidden": ("are due where no run looks", RECONCILE),
        "unreported": ("were counted and not made due", RECONCILE),
        "damaged": ("have an attribute that cannot be read", "See hours-damaged in docs/runbook.md."),
    }
    for kind, (meaning, advice) in meanings.items():
        subject, number = f"{kind.capitalize()} hours, all", found.numbers[kind]
        if number:
            yield bad(subject, f"{number} {meaning}: {named(found.examples[kind][:MOST_NAMED])}", advice)
        else:
            yield good(subject, "none")


def _name(record: UsageRecord) -> str:
    return f"{record.organization_id} {record.window_start}"
