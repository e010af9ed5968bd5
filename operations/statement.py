"""An explanation as one page that can be sent to a customer: no other file, no script, nothing of our inside.

Whatever comes from a table is escaped, and the page forbids itself to load anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from billing.clock import HOUR, parse_time
from billing.invoices.explanation import ExplainedHour, ExplainedLine, Explanation
from billing.invoices.reasons import Reason
from operations.statement_picture import picture

STYLE = Path(__file__).with_name("statement.css")
PLACES = {
    "before": "is on the invoice of the period before",
    "next": "is on the invoice of the period after",
    "elsewhere": "is on another invoice",
}
WIDE_FROM = 100_000
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_WHAT = {"sum": "this sum", "last": "this number"}


def page(explanation: Explanation) -> str:
    """Return the page."""
    period, span = explanation.period, explanation.period.span
    invoices = ", ".join(sorted(period.invoices))
    title = f"Usage behind {'invoices' if len(period.invoices) > 1 else 'invoice'} {invoices}" if invoices else "Usage"
    until = moment(span.ends_at) if span.ends_at else "now"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="who">{escape(explanation.organization_id)}</p>',
        f"<p>{moment(span.starts_at)} to {until} (all times are UTC)</p>",
        *(part for line in explanation.lines for part in _section(explanation, line)),
        f"<footer>As of {moment(explanation.at)} UTC. Every number is that of one hour, counted when it was over. "
        "The hour in which one period ends and the next begins is on one of the two invoices only.</footer>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE.read_text(encoding='utf-8')}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def moment(when: datetime) -> str:
    """Return a moment as people write it."""
    return f"{when.day} {when:%B %Y, %H:%M}" + (f":{when:%S}" if when.second else "")


def _in_words(time: re.Match[str]) -> str:
    return moment(parse_time(time[0]))


def _section(explanation: Explanation, line: ExplainedLine) -> Iterator[str]:
    name = line.event_name
    hours = [hour for hour in explanation.hours if name in hour.counted or name in hour.carried]
    yield f"<section><h2>{escape(line.meter.display_name)}</h2>"
    yield _sum(line)
    for remark in line.remarks:
        yield f"<p>{escape(TIME.sub(_in_words, remark.text))}</p>"
    if hours:
        until = explanation.period.span.ends_at or explanation.at
        yield picture(hours, name, explanation.period.span.starts_at, until, line.meter.display_name)
        yield _days(hours, line)
        yield from _notes(hours, line)
    else:
        yield "<p>Nothing was counted in this period.</p>"
    yield "</section>"


def _sum(line: ExplainedLine) -> str:
    """Return how the line adds up, and whether it does."""
    counted = "The newest number of this period" if line.formula == "last" else "The hours of this period"
    rows = [("", counted, f"{line.counted:,}")]
    if line.carried_in:
        rows += [("", text, number) for text, number in _reasons(line)]
    if line.moved:
        rows.append(("", "Charged by another invoice", f"{-line.moved:+,}".replace("-", "−")))
    if len(rows) > 1:
        rows.append(("total", "Together", f"{line.total:,}"))
    rows += [("", f"On invoice {invoice_id}", f"{quantity:,}") for invoice_id, quantity in line.by_invoice.items()]
    cells = "".join(
        f'<tr class="{kind}"><td>{escape(text)}</td><td class="n">{number}</td></tr>' for kind, text, number in rows
    )
    verdict = {
        True: f'<p class="good">✓ The invoice has {_WHAT[line.formula]}.</p>',
        False: f'<p class="bad">≠ The invoice differs by {abs(line.total - line.invoiced):,}.</p>',
        None: "",
    }[line.agrees]
    return f'<table class="sum">{cells}</table>{verdict}'


def _reasons(line: ExplainedLine) -> Iterator[tuple[str, str]]:
    """Yield what earlier periods brought into this one; in one row where its parts are not its sum."""
    if sum(reason.difference for reason in line.reasons) != line.carried_in:
        yield "From earlier periods", f"+{line.carried_in:,}"
        return
    for reason in line.reasons:
        yield _reason(reason), f"{reason.difference:+,}".replace("-", "−")


def _reason(reason: Reason) -> str:
    until = moment(reason.ends_at) if reason.ends_at else "now"
    on = f" ({', '.join(reason.invoices)})" if reason.invoices else ""
    return (
        f"From the period {moment(reason.starts_at)} to {until}: {reason.counted:,} counted, "
        f"{reason.invoiced:,} charged{on}"
    )


def _days(hours: Sequence[ExplainedHour], line: ExplainedLine) -> str:
    """Return a row for each day that has something, and a column for each hour of it."""
    by_start = {parse_time(hour.window_start): hour for hour in hours}
    days = sorted({start.replace(hour=0) for start in by_start})
    is_sum = line.formula == "sum"
    highest = max(hour.billed.get(line.event_name, 0) for hour in hours)
    rows = []
    for day in days:
        in_day = [by_start.get(day + hour * HOUR) for hour in range(24)]
        cells = "".join(_cell(hour, line) for hour in in_day)
        total = sum(hour.billed.get(line.event_name, 0) for hour in in_day if hour is not None)
        last = f'<td class="day">{total:,}</td>' if is_sum else ""
        rows.append(f"<tr><th>{day.day} {day:%b %Y}</th>{cells}{last}</tr>")
    header = "".join(f"<th>{hour:02}</th>" for hour in range(24)) + ("<th>Day</th>" if is_sum else "")
    wide = " wide" if highest >= WIDE_FROM else ""
    return (
        f'<div class="scroll"><table class="days{wide}"><caption>Hour by hour: the column is the hour\'s start. '
        f"Days without usage are left out.</caption><thead><tr><th></th>{header}</tr></thead><tbody>{''.join(rows)}"
        "</tbody></table></div>"
    )


def _cell(hour: ExplainedHour | None, line: ExplainedLine) -> str:
    if hour is None:
        return "<td></td>"
    name = line.event_name
    classes = [
        *(["away"] if hour.place != "here" else []),
        *(["changed"] if len(hour.numbers(name)) > 1 or hour.carried.get(name) else []),
        *(["deciding"] if line.formula == "last" and name in hour.billed else []),
    ]
    number = hour.counted.get(name)
    carried = f"<br>+{hour.carried[name]:,}" if hour.carried.get(name) else ""
    shown = f"{number:,}" if number is not None else ""
    return f'<td class="{" ".join(classes)}">{shown}{carried}</td>'


def _notes(hours: Sequence[ExplainedHour], line: ExplainedLine) -> Iterator[str]:
    """Yield what is special about some of the hours."""
    items = [
        f"{moment(parse_time(hour.window_start))}: {text}"
        for hour in hours
        for text in _notes_of(hour, line.event_name)
    ]
    if items:
        yield "<h3>Notes</h3><ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _notes_of(hour: ExplainedHour, name: str) -> Iterator[str]:
    if hour.place != "here":
        yield f"this hour {PLACES[hour.place]}."
    if hour.carried.get(name):
        yield f"includes {hour.carried[name]:,} from earlier periods."
    if name in hour.held:
        yield "no number was recorded; the one before holds."
    seen = hour.numbers(name)
    if len(seen) > 1:
        was = ", then ".join(f"{number:,} ({moment(parse_time(at))})" for at, number in seen)
        left_out = f"; {hour.left_out} changes between are not listed" if hour.left_out else ""
        yield f"corrected: {was}{left_out}."
    if hour.state in ("due", "unreported"):
        yield "not on an invoice yet: it was counted or changed a short time ago."
    elif hour.state == "late" and len(seen) == 1:
        yield f"was counted after the invoice was final ({moment(parse_time(seen[0][0]))})."
    elif hour.state == "refused":
        yield "could not be charged so far."
    elif hour.state == "damaged":
        yield "cannot be read whole."
