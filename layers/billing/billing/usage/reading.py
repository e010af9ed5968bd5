"""What an organisation used, hour by hour: counted here, reported to Stripe, due or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billing.meters import METERS, Formula
from billing.tables.usage import UsageRecord, hours_between

State = Literal["due", "refused", "reported", "unreported"]
Number = int | float


@dataclass(frozen=True, slots=True)
class HourOfUsage:
    """An hour: counts and reported totals by meter.

    `state`: `due` = the next run sends it (or, still open, the one after it ends); `refused` = it cannot be billed, and
    `reason` says why; `reported` = Stripe has these totals; `unreported` = Stripe has others and no run will tell it,
    because whoever wrote the count did not make the hour due.
    """

    window_start: str
    state: State
    counted: Mapping[str, Number]
    reported: Mapping[str, int]
    reason: str | None
    reported_at: datetime | None


@dataclass(frozen=True, slots=True)
class MeterTotal:
    """A meter over a range, as Stripe aggregates it: `sum` adds the hours up, `last` is the last hour's number."""

    formula: Formula
    counted: Number
    reported: int


def usage_between(organization_id: str, start: datetime, end: datetime) -> list[HourOfUsage]:
    """Return the organisation's hours that begin from `start` up to, not including, `end`.

    Hours without usage are left out.
    """
    return [_hour(record) for record in hours_between(organization_id, start, end)]


def totals(hours: Sequence[HourOfUsage]) -> dict[str, MeterTotal]:
    """Return every meter's total over hours in their order."""
    result = {}
    for meter in METERS:
        counted = [hour.counted[meter.event_name] for hour in hours if meter.event_name in hour.counted]
        reported = [hour.reported[meter.event_name] for hour in hours if meter.event_name in hour.reported]
        if meter.formula == "last":
            counted, reported = counted[-1:], reported[-1:]
        result[meter.event_name] = MeterTotal(meter.formula, sum(counted), sum(reported))
    return result


def _hour(record: UsageRecord) -> HourOfUsage:
    counted = {meter.event_name: count for meter in METERS if (count := record.counted(meter.event_name)) is not None}
    reported = {name: int(total) for name, total in (record.reported.as_dict() if record.reported else {}).items()}
    return HourOfUsage(
        window_start=record.window_start,
        state=_state(record, counted, reported),
        counted=counted,
        reported=reported,
        reason=record.refused,
        reported_at=record.reported_at,
    )


def _state(record: UsageRecord, counted: Mapping[str, Number], reported: Mapping[str, int]) -> State:
    if record.due_at:
        return "due"
    if record.refused:
        return "refused"
    to_bill = {name: max(0, math.floor(count)) for name, count in counted.items()}
    is_reported = all(reported.get(name) == total for name, total in to_bill.items())
    return "reported" if is_reported else "unreported"
