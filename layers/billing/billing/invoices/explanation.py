"""Why a line says 360: the hours of a period, the corrections, and the sum. Decided from values; no I/O.

What a line bills of a `sum` meter is what the period's hours count, and what earlier periods brought into it, less what
came too late for it and is on another invoice. Of a `last` meter it is the number of the newest hour. The words of a
remark can be shown to a customer as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from billing.clock import parse_time
from billing.history import Entry
from billing.invoices.boundary import counted_on_invoice, has_last_hour, lacks_first_hour
from billing.invoices.differences import Remark, differences, is_compared
from billing.invoices.reasons import Reason, read_reasons
from billing.meters import LAST_METERS, METERS, Formula, Meter
from billing.periods import Period
from billing.usage.reading import State

Place = Literal["here", "before", "next", "elsewhere"]


@dataclass(frozen=True, slots=True)
class ExplainedHour:
    """An hour, by meter: what was counted, what earlier periods brought into it, what it adds to the line (`billed`).

    `place` says on which invoice the hour is: `here`; that of the period `before` or of the `next` one (the hour in
    which one period ends and another begins is on one of two); or `elsewhere`: another customer's or subscription's.
    `held` are the meters of which no number was recorded in it and an earlier one holds. `state` and `reason` are those
    of `billing.usage.reading`. `history` has what was reported, late or carried before, and what Stripe has now, oldest
    first; `left_out` is how many of its entries are not kept.
    """

    window_start: str
    state: State
    reason: str | None
    place: Place
    counted: Mapping[str, int]
    carried: Mapping[str, int]
    held: tuple[str, ...] = ()
    history: tuple[Entry, ...] = ()
    left_out: int = 0
    billed: Mapping[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[tuple[str, Mapping[str, int]], ...]:
        """Return the counts that were seen, each with the moment at which it was seen first, oldest first."""
        carried: Mapping[str, int] = {}
        seen: list[tuple[str, Mapping[str, int]]] = []
        for entry in self.history:
            if entry.kind == "carried":
                carried = entry.totals
                continue
            names = sorted({*entry.totals, *carried})
            own = {name: entry.totals.get(name, 0) - carried.get(name, 0) for name in names}
            own = {name: number for name, number in own.items() if number}
            if not seen or seen[-1][1] != own:
                seen.append((entry.at, own))
        return tuple(seen)

    def numbers(self, event_name: str) -> list[tuple[str, int]]:
        """Return the numbers that were seen of a meter, each with the moment at which it was seen first."""
        found: list[tuple[str, int]] = []
        for at, totals in self.counts:
            number = totals.get(event_name, 0)
            if found[-1][1] != number if found else event_name in totals:
                found.append((at, number))
        return found

    @property
    def unchanged_since(self) -> Mapping[str, str]:
        """Return by meter when its number was what it is; without those that nobody has seen since they changed."""
        seen = {name: self.numbers(name)[-1:] for name in self.counted}
        return {name: newest[0][0] for name, newest in seen.items() if newest and newest[0][1] == self.counted[name]}


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """A meter's line: `counted` in the hours, `carried_in` for `reasons`, `moved` to other invoices, and `invoiced`.

    `moved` is below zero where this invoice has what another period counted. `invoiced` is what the final invoices bill
    together, `by_invoice` each of them. The `total` `agrees` with it, or not, or (None) there is nothing to compare;
    `remarks` say what there is to say.
    """

    meter: Meter
    is_sold: bool
    counted: int
    carried_in: int
    moved: int
    invoiced: int
    by_invoice: Mapping[str, int]
    agrees: bool | None
    reasons: tuple[Reason, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def event_name(self) -> str:
        """Return the meter's event name."""
        return self.meter.event_name

    @property
    def formula(self) -> Formula:
        """Return how the meter makes one number of its hours."""
        return self.meter.formula

    @property
    def total(self) -> int:
        """Return what the line should say."""
        return self.counted + self.carried_in - self.moved


@dataclass(frozen=True, slots=True)
class Explanation:
    """A period's lines, and the hours behind them, as they were `at` a moment."""

    organization_id: str
    period: Period
    lines: tuple[ExplainedLine, ...]
    hours: tuple[ExplainedHour, ...]
    at: datetime

    def line(self, event_name: str) -> ExplainedLine:
        """Return a meter's line.

        Raises:
            StopIteration: nothing of it was counted, sold or carried.
        """
        return next(line for line in self.lines if line.event_name == event_name)


def explain(
    organization_id: str, period: Period, periods: Sequence[Period], hours: Sequence[ExplainedHour], now: datetime
) -> Explanation:
    """Explain a period's lines by its hours, in their order; `periods` are all that the organisation has."""
    lacks_first, with_last = lacks_first_hour(period, periods), has_last_hour(period, periods)
    placed = tuple(_placed(hour, period, lacks_first=lacks_first, with_last=with_last) for hour in hours)
    names = {*period.meters, *(name for hour in hours for name in (*hour.counted, *hour.carried))}
    lines = []
    for meter in METERS:
        if meter.event_name in names:
            placed = _billed(placed, meter.event_name)
            billed = sum(hour.billed.get(meter.event_name, 0) for hour in placed)
            lines.append(_line(meter, period, periods, billed - period.carried_in(meter.event_name)))
    return Explanation(organization_id, period, tuple(lines), placed, now)


def _placed(hour: ExplainedHour, period: Period, *, lacks_first: bool, with_last: bool) -> ExplainedHour:
    """Return an hour with the invoice that it is on."""
    start, span = parse_time(hour.window_start), period.span
    is_last = span.hours_until is not None and start >= span.hours_until
    if hour.place == "elsewhere" or (is_last and with_last):
        return hour
    if is_last:
        return replace(hour, place="next")
    return replace(hour, place="before") if start < span.starts_at and lacks_first else hour


def _billed(hours: Sequence[ExplainedHour], event_name: str) -> tuple[ExplainedHour, ...]:
    """Say of each hour what it adds to a line: all of it for a `sum` meter, for a `last` one the newest number."""
    here = [hour for hour in hours if hour.place == "here" and event_name in hour.counted]
    counted = here[-1:] if event_name in LAST_METERS else here
    billed = {hour.window_start: hour.counted[event_name] for hour in counted}
    for hour in hours:
        if hour.carried.get(event_name):
            billed[hour.window_start] = billed.get(hour.window_start, 0) + hour.carried[event_name]
    return tuple(
        replace(hour, billed={**hour.billed, event_name: billed[hour.window_start]})
        if hour.window_start in billed
        else hour
        for hour in hours
    )


def settled_line(meter: Meter, period: Period, periods: Sequence[Period]) -> ExplainedLine:
    """Explain a settled period's line by what its hours counted when they were last looked at."""
    return _line(meter, period, periods, counted_on_invoice(period, periods, meter.event_name))


def _line(meter: Meter, period: Period, periods: Sequence[Period], counted: int) -> ExplainedLine:
    name = meter.event_name
    found = differences(name, counted, period, periods)
    finals = {invoice_id: each for invoice_id, each in sorted(period.invoices.items()) if each.is_final}
    line = ExplainedLine(
        meter=meter,
        is_sold=name in period.meters,
        counted=counted,
        carried_in=period.carried_in(name),
        moved=found.moved,
        invoiced=period.invoiced(name),
        by_invoice={invoice_id: each.quantities.get(name, 0) for invoice_id, each in finals.items()},
        agrees=None,
        reasons=tuple(reason for reason in read_reasons(period.carried_why) if reason.event_name == name),
        remarks=tuple(found.remarks),
    )
    if not is_compared(period, name) or (not period.is_in_units and line.total != line.invoiced):
        return line
    return replace(line, agrees=line.total == line.invoiced)
