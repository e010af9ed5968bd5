"""What was counted beside what Stripe's final invoices bill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from billing.invoices.storage import read_periods
from billing.tables.usage import UsageRecord
from programs.demo.book import READINGS, SENSORS, Organization
from programs.local.stack import Stack

PERIODS = ("1st", "2nd")
COLUMNS = "  {:<18}{:>8}{:>9}{:>9}{:>9}{:>9}{:>6}  {}"


@dataclass(frozen=True, slots=True)
class PeriodLine:
    """What a period's invoice has to bill by the demo's own book, what it bills, and what the stack tells it lacks."""

    to_bill: int
    invoiced: int
    told: int = 0

    @property
    def is_right(self) -> bool:
        """Say whether it bills what it has to, or what it lacks is told."""
        return self.to_bill == self.invoiced + self.told


@dataclass(frozen=True, slots=True)
class Line:
    """A meter of an organisation: what was `counted`; `outside` of the subscription, and `refused` as such."""

    organization_id: str
    event_name: str
    counted: int
    periods: Sequence[PeriodLine]
    outside: int = 0
    refused: int = 0

    @property
    def told(self) -> int:
        """Return how much is on no invoice, and told."""
        told = sum(period.told for period in self.periods)
        return told + self.refused if self.event_name == READINGS or not self.periods else told

    @property
    def verdict(self) -> str:
        """Return `agrees`, `told` or `DIFFERS`."""
        if not all(period.is_right for period in self.periods) or self.outside != self.refused:
            return "DIFFERS"
        return "told" if self.told else "agrees"


def lines_of(stack: Stack, organizations: Iterable[Organization]) -> list[Line]:
    """Return the lines of all organisations, the readings first."""
    return [
        Line(
            each.organization_id,
            event_name,
            each.counted(event_name),
            _periods(stack, each, event_name),
            each.outside(event_name),
            _refused(each, event_name),
        )
        for event_name in (READINGS, SENSORS)
        for each in organizations
    ]


def _periods(stack: Stack, organization: Organization, event_name: str) -> list[PeriodLine]:
    told = {period.span.starts_at: period.told for period in read_periods(organization.organization_id)}
    invoiced = invoiced_by_period(stack, organization, event_name)
    return [
        PeriodLine(to_bill, number, sum(totals.get(event_name, 0) for totals in told.get(start, {}).values()))
        for start, to_bill, number in zip(
            organization.starts, organization.to_bill(event_name), invoiced, strict=True
        )
    ]


def invoiced_by_period(stack: Stack, organization: Organization, event_name: str) -> list[int]:
    """Return what Stripe's final invoices bill of each period."""
    invoices = stack.simulator.account.invoices
    billed = dict.fromkeys((int(start.timestamp()) for start in organization.starts), 0)
    for invoice_id, quantity in invoices.billed_quantities(str(organization.customer_id), event_name).items():
        invoice = invoices.objects[invoice_id]
        if invoice["status"] not in ("draft", "void"):
            billed[invoice["period_start"]] += quantity
    return list(billed.values())


def _refused(organization: Organization, event_name: str) -> int:
    numbers = [
        hour.own_total(event_name) or 0
        for hour in UsageRecord.query(organization.organization_id, consistent_read=True)
        if hour.refused and hour.counted(event_name) is not None
    ]
    return sum(numbers) if event_name == READINGS else (numbers or [0])[-1]


def say_lines(lines: Iterable[Line], say: Callable[[str], None]) -> None:
    """Print the table of each meter."""
    shown = list(lines)
    for event_name in (READINGS, SENSORS):
        say(f"\n  {event_name + ', ':<26}{'1st period':>18}{'2nd period':>18}")
        say(COLUMNS.format("", "counted", *("to bill", "invoiced") * 2, "told", ""))
        for line in shown:
            if line.event_name == event_name:
                numbers = [number for each in line.periods for number in (each.to_bill, each.invoiced)]
                cells = [*numbers, *["-"] * (2 * len(PERIODS) - len(numbers))]
                say(COLUMNS.format(line.organization_id, line.counted, *cells, line.told, line.verdict))


def conclude(lines: Iterable[Line], faults: Sequence[str], say: Callable[[str], None]) -> int:
    """Print the table and what else is wrong; return the exit code, 1 where anything is."""
    shown = list(lines)
    say_lines(shown, say)
    differing = [line for line in shown if line.verdict == "DIFFERS"]
    say("")
    for fault in faults:
        say(f"WRONG: {fault}")
    say("Every line agrees, or what it lacks is told." if not differing else f"{len(differing)} lines DIFFER.")
    return 1 if differing or faults else 0
