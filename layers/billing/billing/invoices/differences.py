"""In what a period's line differs from its hours, and why: in words that a customer can be shown. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from billing.clock import format_time
from billing.invoices.boundary import counted_on_invoice
from billing.meters import SUM_METERS
from billing.periods import Period

Code = Literal[
    "open", "draft", "trial", "not_sold", "damaged", "missing", "changed_since", "on_other_invoices",
    "late_number", "too_much", "not_in_units", "not_invoiced", "not_carried", "unexplained",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Remark:
    """What there is to say about a line; `number` is how much it is about, None where that is no number."""

    code: Code
    number: int | None
    text: str


@dataclass(slots=True)
class Differences:
    """What is said of a line. `moved` is on other invoices; below zero: this one has it of another period."""

    moved: int = 0
    remarks: list[Remark] = field(default_factory=list)

    def add(self, code: Code, text: str, number: int | None = None) -> None:
        """Say one more thing."""
        self.remarks.append(Remark(code, number, text))


def is_compared(period: Period, event_name: str) -> bool:
    """Say whether a line can be compared with the hours: it is final, counts units, and costs something."""
    return (
        period.state == "closed" and not period.is_damaged and not period.span.is_trial and event_name in period.meters
    )


def differences(event_name: str, counted: int, period: Period, periods: Sequence[Period]) -> Differences:
    """Compare what the hours on a period's invoice count now with what the invoice bills, and say what differs."""
    found = Differences()
    if period.is_damaged:
        found.add("damaged", "What is stored about this period cannot be read.")
    elif event_name not in period.meters:
        found.add("not_sold", "The subscription has no price for it: it is on no invoice.", counted)
    elif period.span.is_trial:
        found.add("trial", "This period was a free trial.")
    elif period.state == "open":
        found.add("open", "There is no invoice of this period yet: the numbers are those until now.")
    elif period.state == "draft":
        until = f"; it becomes final at {format_time(period.finalizes_at)}" if period.finalizes_at else ""
        found.add("draft", f"The invoice is a draft and takes further usage{until}.")
    else:
        _compare(found, event_name, counted, period, periods)
    if event_name in period.missing:
        found.add("missing", "No number was recorded in this period, though there was one in the period before.")
    return found


def _compare(found: Differences, event_name: str, counted: int, period: Period, periods: Sequence[Period]) -> None:
    """Compare the hours of a settled period with its invoices."""
    known = counted_on_invoice(period, periods, event_name)
    if counted != known:
        text = f"{abs(counted - known):,} have been counted {_more(counted > known)} since the invoice was compared."
        found.add("changed_since", text, counted - known)
    difference = known + period.carried_in(event_name) - period.invoiced(event_name)
    told = {code: totals[event_name] for code, totals in period.told.items() if event_name in totals}
    if "not_invoiced" in told or (period.state == "not_invoiced" and period.span.is_last):
        found.add("not_invoiced", f"{difference:,} are on no invoice, and none will follow.", difference)
    elif not difference:
        return
    elif not period.is_in_units:
        text = "The invoice may count packages of several units: it cannot be compared unit by unit."
        found.add("not_in_units", text, difference)
    elif event_name not in SUM_METERS:
        invoiced = period.invoiced(event_name)
        text = f"The newest number, {known:,}, came after the invoice was final, which has {invoiced:,}."
        found.add("late_number", text, difference)
    else:
        _find(found, event_name, difference, period, periods)


def _more(is_more: bool) -> str:
    return "more" if is_more else "less"


def _find(found: Differences, event_name: str, difference: int, period: Period, periods: Sequence[Period]) -> None:
    """Say where the rest of a line is: on other invoices, as far as those balance; else on none, or paid too much."""
    others = [each for each in periods if each.span.customer_id == period.span.customer_id and not each.span.is_trial]
    on_none, too_much = (sum(each.told.get(code, {}).get(event_name, 0) for each in others) for code in _TOLD)
    lost = min(difference, on_none) if difference > 0 else -min(-difference, too_much)
    moved = difference - lost
    if lost > 0:
        found.add("not_carried", f"{lost:,} are on no invoice so far.", lost)
    if lost < 0:
        found.add("too_much", f"{-lost:,} more are on the invoice than were counted.", lost)
    if not moved:
        return
    if _balance(others, event_name) != on_none - too_much:
        is_hidden = any(each.is_damaged for each in others)
        why = "what is stored about another period cannot be read" if is_hidden else "the reason is not known"
        text = f"{abs(moved):,} {_more(moved > 0)} are counted than invoiced: {why}."
        found.add("unexplained", text, moved)
        return
    found.moved = moved
    # What is missing without being late: a line of an old price, or of a boundary's hour, that Stripe made too small.
    why = "came after this invoice was final" if period.late_hours else "are missing on this invoice"
    text = f"{moved:,} {why} and are charged by another"
    if moved < 0:
        text = f"{-moved:,} more than were counted are on this invoice, and another charges so much less"
    where = "; ".join(_places(moved, event_name, period, others))
    found.add("on_other_invoices", f"{text}: {where}." if where else f"{text}.", moved)


_TOLD = ("not_carried", "too_much")


def _balance(periods: Sequence[Period], event_name: str) -> int:
    """Return what a customer's periods count and no invoice bills or is going to bill, over all of them."""
    balance = 0
    for period in periods:
        if not period.is_settled:
            balance -= period.carried_in(event_name)
        elif event_name in period.meters and period.is_in_units and "not_invoiced" not in period.told:
            balance += counted_on_invoice(period, periods, event_name) - period.invoiced(event_name)
    return balance


def _places(moved: int, event_name: str, period: Period, others: Sequence[Period]) -> Iterator[str]:
    """Yield the periods on whose invoices the rest is: those that carry it, or that differ the other way."""
    for each in sorted(others, key=lambda other: other.span.starts_at):
        if each.span.key == period.span.key:
            continue
        carried = each.carried_in(event_name)
        differs = each.is_settled and counted_on_invoice(each, others, event_name) - each.invoiced(event_name) + carried
        if (moved > 0 and carried > 0) or (differs and (differs > 0) != (moved > 0)):
            invoices = ", ".join(sorted(each.invoices)) or "no invoice yet"
            yield f"the period from {format_time(each.span.starts_at)} ({invoices})"
