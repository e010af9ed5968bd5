"""What was counted beside what Stripe's final invoices bill, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from billing.invoices.storage import read_periods
from billing.tables.usage import UsageRecord
from programs.demo.book import READINGS, SENSORS, Organization
from programs.demo.narrator import in_words
from programs.demo.passage import wrapped
from programs.local.stack import Stack

COLUMNS = "  {:<18}{:>8}{:>9}{:>9}{:>9}{:>9}{:>6}  {}"


@dataclass(frozen=True, slots=True)
class PeriodLine:
    """What a period's invoice has to bill by the demo's own book, what it bills, and what the stack tells it lacks.

    A period that `ends_at_once` has no invoice: all of it is to be told. Of any other period nothing is.
    """

    to_bill: int
    invoiced: int
    told: int = 0
    ends_at_once: bool = False

    @property
    def is_right(self) -> bool:
        """Say whether all is invoiced, or told, as it has to be."""
        return (self.invoiced, self.told) == ((0, self.to_bill) if self.ends_at_once else (self.to_bill, 0))


@dataclass(frozen=True, slots=True)
class Line:
    """A meter of an organisation: what was `counted`, and by period.

    `invoiced` is what all final invoices bill together. What was counted `outside` of the subscription is to be told as
    `refused`.
    """

    organization_id: str
    event_name: str
    counted: int
    periods: Sequence[PeriodLine]
    invoiced: int
    outside: int = 0
    refused: int = 0

    @property
    def told(self) -> int:
        """Return how much is on no invoice, and told."""
        told = sum(period.told for period in self.periods)
        return told + self.refused if self.event_name == READINGS or not self.periods else told

    @property
    def verdict(self) -> str:
        """Return `agrees`, `told` where all that no invoice bills is told, else `DIFFERS`."""
        are_right = all(period.is_right for period in self.periods)
        is_all = self.invoiced == sum(period.invoiced for period in self.periods)
        if not are_right or not is_all or self.outside != self.refused:
            return "DIFFERS"
        return "told" if self.told else "agrees"


def lines_of(stack: Stack, organizations: Iterable[Organization]) -> list[Line]:
    """Return the lines of all organisations, the readings first."""
    invoices = stack.simulator.account.invoices
    return [
        Line(
            each.organization_id,
            event_name,
            each.counted(event_name),
            _periods(stack, each, event_name),
            invoices.billed(str(each.customer_id), event_name),
            each.outside(event_name),
            _refused(each, event_name),
        )
        for event_name in (READINGS, SENSORS)
        for each in organizations
    ]


def _periods(stack: Stack, organization: Organization, event_name: str) -> list[PeriodLine]:
    told = {period.span.starts_at: period.told for period in read_periods(organization.organization_id)}
    invoices, invoiced = stack.simulator.account.invoices, dict.fromkeys(organization.starts, 0)
    for invoice_id, quantity in invoices.billed_quantities(str(organization.customer_id), event_name).items():
        invoice = invoices.objects[invoice_id]
        for start in organization.starts:
            if start.timestamp() == invoice["period_start"] and invoice["status"] not in ("draft", "void"):
                invoiced[start] += quantity
    return [
        PeriodLine(
            to_bill,
            invoiced[start],
            sum(totals.get(event_name, 0) for totals in told.get(start, {}).values()),
            organization.ends_at_once,
        )
        for start, to_bill in zip(organization.starts, organization.to_bill(event_name), strict=True)
    ]


def _refused(organization: Organization, event_name: str) -> int:
    numbers = [
        hour.own_total(event_name) or 0
        for hour in UsageRecord.query(organization.organization_id, consistent_read=True)
        if hour.refused and hour.counted(event_name) is not None
    ]
    return sum(numbers) if event_name == READINGS else (numbers or [0])[-1]


def say_lines(lines: Sequence[Line], say: Callable[[str], None]) -> None:
    """Print the table of each meter."""
    for event_name in (READINGS, SENSORS):
        say(f"\n  {event_name:<26}{'1st period':>18}{'2nd period':>18}")
        say(COLUMNS.format("", "counted", *("to bill", "invoiced") * 2, "told", "").rstrip())
        for line in lines:
            if line.event_name == event_name:
                numbers = [number for each in line.periods for number in (each.to_bill, each.invoiced)]
                cells = [*numbers, "-", "-", "-", "-"][:4]
                say(COLUMNS.format(line.organization_id, line.counted, *cells, line.told, line.verdict))


def say_reasons(organizations: Iterable[Organization], say: Callable[[str], None]) -> None:
    """Print what was carried, and why the rest of what was counted is on no invoice."""
    say("")
    for organization in organizations:
        name = organization.organization_id
        if organization.late.total():
            say(f"  {name}: {organization.late.total()} readings of the 1st period came late, the 2nd bills them")
        if organization.tells_once:
            say(f"  {name}: its {organization.sensors} sensors, recorded once, hold in the 2nd period")
        told = [
            f"{in_words(totals)} on no invoice ({code})"
            for period in read_periods(name)
            for code, totals in period.told.items()
        ]
        refused = _refused(organization, READINGS)
        if refused:
            told.append(f"{refused} readings outside of a subscription (refused)")
        if told:
            say(wrapped(f"{name}, told: {', '.join(told)}"))


def conclude(lines: Sequence[Line], faults: Sequence[str], say: Callable[[str], None]) -> int:
    """Print what came of it; return the exit code, 1 where anything is wrong."""
    differing = [line for line in lines if line.verdict == "DIFFERS"]
    say("")
    for fault in faults:
        say(f"WRONG: {fault}")
    if differing:
        say(f"{len(differing)} of {len(lines)} lines DIFFER.")
    else:
        say(f"All {len(lines)} lines agree with Stripe's final invoices, or what they lack is told.")
    return 1 if differing or faults else 0
