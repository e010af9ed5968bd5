"""An explanation as it is printed: a table for people, rows for spreadsheets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Column
from rich.text import Text

from billing.clock import format_time
from billing.invoices.explanation import ExplainedHour, ExplainedLine, Explanation
from billing.invoices.values import hour_values, line_values, period_values
from operations.output import Notes, table_of, whole
from operations.picture import COLOURS

PLACES = {
    "here": "",
    "before": "on the invoice of the period before",
    "next": "on the invoice of the next period",
    "elsewhere": "another customer's or subscription's",
}
CSV_COLUMNS = (
    "row", "meter", "window_start", "counted", "carried", "on_invoice", "state", "place", "unchanged_since",
    "corrections", "note",
)  # fmt: skip
NUMBER_WIDTH = 12


def values_of(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation for programs."""
    return {
        "organization_id": explanation.organization_id,
        "at": format_time(explanation.at),
        "period": period_values(explanation.period),
        "lines": [line_values(line) for line in explanation.lines],
        "hours": [hour_values(hour) for hour in explanation.hours],
    }


def rows_of(explanation: Explanation) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a spreadsheet: of each meter its hours, then how they add up, in `on_invoice`."""
    for line in explanation.lines:
        name = line.event_name
        for hour in _hours_of(explanation, line):
            yield (
                "hour",
                name,
                hour.window_start,
                hour.counted.get(name),
                hour.carried.get(name, 0),
                hour.billed.get(name, 0),
                hour.state,
                hour.place,
                hour.unchanged_since.get(name),
                max(0, len(hour.numbers(name)) - 1),
                hour.reason,
            )
        texts = " ".join(remark.text for remark in line.remarks)
        yield ("on_other_invoices", name, None, None, None, -line.moved, None, None, None, None, texts or None)
        yield ("total", name, None, line.counted, line.carried_in, line.total, None, None, None, None, None)
        agrees = {True: "agrees", False: "differs", None: None}[line.agrees]
        yield ("invoiced", name, None, None, None, line.invoiced, None, None, None, None, agrees)


def shown(explanation: Explanation, console: Console) -> list[RenderableType]:
    """Return a heading, and of each line its hours and how they add up."""
    span, period = explanation.period.span, explanation.period
    until = format_time(span.ends_at) if span.ends_at else "…"
    heading = Text.assemble(
        (explanation.organization_id, "bold"), f"  {format_time(span.starts_at)} – {until}  {period.state}"
    )
    invoices = [
        Text(f"{invoice_id} {each.status}", style="dim") for invoice_id, each in sorted(period.invoices.items())
    ]
    states = Counter(hour.state for hour in explanation.hours)
    hours = "hours: " + (", ".join(f"{states[state]} {state}" for state in COLOURS if states[state]) or "none")
    parts: list[RenderableType] = [heading, *invoices, Text(hours, style="dim")]
    for line in explanation.lines:
        notes = Notes(console)
        parts += ["", Text(f"{line.meter.display_name} ({line.event_name})", style="bold")]
        its_hours = _hours_of(explanation, line)
        if its_hours:
            parts += [_table(its_hours, line, notes), *notes.below(), ""]
        parts.append(_sum(line))
        parts += [
            Text(f"{reason}".replace(f"{line.event_name} ", "carried: ", 1), style="dim") for reason in line.reasons
        ]
        parts += [Text(remark.text) for remark in line.remarks]
    return parts


def _hours_of(explanation: Explanation, line: ExplainedLine) -> list[ExplainedHour]:
    name = line.event_name
    return [
        hour for hour in explanation.hours if name in hour.counted or name in hour.carried or hour.state == "damaged"
    ]


def _table(hours: Sequence[ExplainedHour], line: ExplainedLine, notes: Notes) -> RenderableType:
    name = line.event_name
    rows = [
        (
            hour.window_start,
            str(hour.counted.get(name, "")),
            str(hour.billed.get(name, "")),
            Text(hour.state, style=COLOURS[hour.state]),
            hour.unchanged_since.get(name, ""),
            notes.cell(_note(hour, name)),
        )
        for hour in hours
    ]
    numbers = [whole(header, is_number=True) for header in ("Counted", "On line")]
    columns: list[str | Column] = [whole("Hour"), *numbers, whole("State"), whole("Unchanged since"), "Note"]
    return table_of(columns, rows, gap=1 if notes.is_narrow else 2)


def _note(hour: ExplainedHour, name: str) -> str:
    carried = f"{hour.carried[name]} carried into it" if hour.carried.get(name) else ""
    held = "no number of its own: the one before holds" if name in hour.held else ""
    numbers = hour.numbers(name)
    was = ", ".join(f"{number} from {at}" for at, number in numbers) if len(numbers) > 1 else ""
    left_out = f"{hour.left_out} corrections between are not kept" if hour.left_out and was else ""
    return "; ".join(filter(None, [hour.reason, PLACES[hour.place], carried, held, was, left_out]))


def _sum(line: ExplainedLine) -> RenderableType:
    counted = "the newest number" if line.formula == "last" else "the hours"
    rows = [(counted, f"{line.counted}")]
    if line.carried_in:
        rows.append(("carried into it from earlier periods", f"+ {line.carried_in}"))
    if line.moved:
        rows.append(("on other invoices", f"{'-' if line.moved > 0 else '+'} {abs(line.moved)}"))
    if len(rows) > 1:
        rows.append(("together", f"= {line.total}"))
    verdict = {True: "it agrees", False: "IT DIFFERS", None: ""}[line.agrees]
    rows += [(f"on {invoice_id}", f"{quantity}") for invoice_id, quantity in line.by_invoice.items()]
    if verdict:
        rows.append((verdict, "" if line.agrees else f"{line.total - line.invoiced}"))
    table = table_of(["", Column("", justify="right", min_width=NUMBER_WIDTH)], rows)
    table.show_header = False
    return table
