"""An organisation's usage, hour by hour: what was counted, what was reported, and what becomes of the rest."""

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

    `state`: `due` = a run sends it once it has ended; `refused` = it cannot be billed, and `reason` says why;
    `reported` = Stripe has these totals; `unreported` = Stripe has other totals and no run will send these, because
    whoever wrote the count did not make the hour due.
    """

    window_start: str
    state: State
    counted: Mapping[str, Number]
    reported: Mapping[str, int]
    reason: str | None
    reported_at: datetime | None


@dataclass(frozen=True, slots=True)
class MeterTotal:
    """A meter's total over a range, as Stripe aggregates it: the hours' sum, or the last hour's number."""

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
    for meter in METERS:
        name = meter.event_name
        # A count that was removed after it was reported is a total of zero, as in metering's plan.
        to_report = max(0, math.floor(counted.get(name, 0)))
        if (name in counted or name in reported) and reported.get(name) != to_report:
            return "unreported"
    return "reported"
