"""What the hours of a period count: one query of UsageTable."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from billing.clock import HOUR
from billing.metered_subscriptions import BillingPeriod
from billing.meters import LAST_METERS, SUM_METERS
from billing.periods import ceiling
from billing.tables.usage import UsageRecord, hours_between

# How many late hours an item names.
MOST_LATE_HOURS = 20


@dataclass(slots=True)
class PeriodCount:
    """What a period's hours count, by meter; the attributes are those of `billing.periods.Period`.

    `due` are the hours that a run has yet to send; `highest` the highest numbers of `last` meters.
    """

    counted: dict[str, int] = field(default_factory=dict)
    in_first_hour: dict[str, int] = field(default_factory=dict)
    in_last_hour: dict[str, int] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)
    late_hours: list[str] = field(default_factory=list)
    due: list[str] = field(default_factory=list)


def count_period(
    organization_id: str, span: BillingPeriod, until: datetime, final_since: datetime | None = None
) -> PeriodCount:
    """Count a period's hours up to `until`, or to its end, with the hour in which it ends.

    Only what the period's customer used: an hour that was reported to another one is on another's invoice. Of an hour
    that comes after `final_since`, the moment at which the invoice was final, nothing can be on it.
    """
    result = PeriodCount()
    end = until if span.ends_at is None else min(until, span.ends_at)
    begins_within = not span.is_first and span.first_hour != span.starts_at
    if end <= span.first_hour:
        return result  # it is yet to begin
    for hour in hours_between(organization_id, span.first_hour, ceiling(end)):
        if hour.start is None or not is_of(hour, span):
            continue
        is_the_next_ones = span.hours_until is not None and hour.start >= span.hours_until
        if hour.due_at is not None and hour.start + HOUR <= until:
            result.due.append(hour.window_start)
        for name in (*SUM_METERS, *LAST_METERS):
            number = hour.own_total(name)
            if number is None:
                continue
            if is_the_next_ones:
                _add(result.in_last_hour, name, number)
                continue
            _add(result.counted, name, number)
            if name in LAST_METERS:
                result.highest[name] = max(number, result.highest.get(name, number))
            if begins_within and hour.start == span.first_hour:
                _add(result.in_first_hour, name, number)
            elif name in LAST_METERS:
                result.in_first_hour.pop(name, None)
        if final_since is not None and _came_after(hour, final_since) and not is_the_next_ones:
            result.late_hours.append(hour.window_start)
    result.late_hours = result.late_hours[-MOST_LATE_HOURS:]
    return result


def is_of(hour: UsageRecord, span: BillingPeriod) -> bool:
    """Say whether the period's customer used it, and no later subscription that began in the same hour."""
    if hour.reported_to not in (None, span.customer_id):
        return False
    is_anothers = hour.stamped_from is not None and span.ends_at is not None and hour.stamped_from >= span.ends_at
    return not (is_anothers and span.is_last)


def _add(totals: dict[str, int], event_name: str, number: int) -> None:
    """Add an hour, of the hours in their order: of a `last` meter the newest number stands."""
    totals[event_name] = number if event_name in LAST_METERS else totals.get(event_name, 0) + number


def _came_after(hour: UsageRecord, moment: datetime) -> bool:
    is_late = bool(hour.due_at) or bool(hour.late) or (hour.reported_at is not None and hour.reported_at > moment)
    return is_late and any(hour.own_total(name) for name in SUM_METERS)
