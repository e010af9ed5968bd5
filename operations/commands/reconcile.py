"""Reported hours compared with what Stripe counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import typer
from rich.console import Console, RenderableType

from billing.comparison_requests import read_request
from billing.errors import RefusedError
from billing.reconciliation.comparison import ComparisonSummary
from billing.reconciliation.findings import REPAIRED, Finding
from billing.reconciliation.invocation import carry_out
from billing.tables.subscriptions import SEGMENTS
from operations.output import Notes, table_of_hours
from operations.session import DryRun, Time, session_of, without_metrics

FOUND = {
    "differs": "Stripe counts something else",
    "never_reported": "never reported by this stack: left alone",
    "not_due": "no run would have sent it",
    "damaged": "damaged",
    "failed": "not compared",
}


def reconcile(context: typer.Context, start: Time = None, end: Time = None, dry_run: DryRun = False) -> None:
    """Compare what Stripe counted with what was reported (by default the past two days), and make due what differs.

    Also looks at the billing periods, as every night; a dry run leaves these out. Exit code 1 where an organisation
    could not be compared.
    """
    session = session_of(context)
    options = {name: text for name, text in (("start", start), ("end", end)) if text is not None}
    try:
        request = read_request(options)
    except RefusedError as error:
        raise typer.BadParameter(str(error)) from None
    totals: Counter[str] = Counter()
    findings: list[Finding] = []
    with session.work(range(SEGMENTS), "Comparing", SEGMENTS, "parts of the organisations") as waiting:
        for segment in waiting:
            with without_metrics():
                compared = carry_out(replace(request, segment=segment), dry_run=dry_run, tell=findings.append)
            totals.update(compared.as_dict())
    totals["complete"] = session.interruption is None
    summary = ComparisonSummary(**totals)  # type: ignore[arg-type]  # `complete` is a bool, which is a number
    findings.sort(key=lambda found: (found.organization_id, found.window_start or "", found.meter or ""))
    hours_due = len({(found.organization_id, found.window_start) for found in findings if found.kind in REPAIRED})
    conclusion = (
        f"{summary.hours} reported hours of {summary.organizations} organisations compared: "
        f"{summary.drift_events} meter hours differ, by {_number(summary.drift_units)} units; "
        f"{hours_due} hours {'would become' if dry_run else 'made'} due; "
        f"{summary.failures} organisations could not be compared."
    )
    values = {**summary.as_dict(), "findings": [_values(found) for found in findings], "dry_run": dry_run}
    session.show(values, *(_table(findings, session.out) if findings else []), conclusion)
    session.end(failed=summary.failures > 0)


def _values(found: Finding) -> dict[str, Any]:
    values = asdict(found) | {"difference": found.difference}
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in values.items()
    }


def _table(findings: Sequence[Finding], console: Console) -> Sequence[RenderableType]:
    notes = Notes(console)
    rows = [
        (
            found.organization_id,
            found.window_start or "",
            notes.meter(found.meter or ""),
            *map(_number, (found.counted, found.at_stripe, found.difference)),
            notes.cell(": ".join(filter(None, [FOUND[found.kind], found.error]))),
        )
        for found in findings
    ]
    return table_of_hours(rows, notes)


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:.0f}" if float(number).is_integer() else str(number)
