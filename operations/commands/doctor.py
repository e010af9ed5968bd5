"""Is everything set up right? Every line good, bad or unknown, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from billing import clock
from operations import connection
from operations.doctor.checks import CHECKS, examine
from operations.doctor.findings import Finding, Verdict
from operations.doctor.place import Place
from operations.output import NARROW, table_of, whole
from operations.session import UNKNOWN, session_of

# In a narrow terminal; what is found and what to do is longer.
WIDEST_SUBJECT = 28
_COLOUR = {Verdict.GOOD: "green", Verdict.BAD: "bold red", Verdict.UNKNOWN: "yellow"}


def doctor(
    context: typer.Context,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also look at every hour, for which the whole usage table is read.")
    ] = False,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where Stripe is to deliver; the stack's own with --stack.")
    ] = None,
) -> None:
    """Check all that can be checked from outside, and say of what is bad or unknown what to do next.

    Changes nothing, and prints no secret. Some 30 calls to Stripe; reads the tables of organisations and the index of
    due hours whole. Exit code 0: all good; 1: something is bad; 3: nothing is bad, and something is unknown.
    """
    session = session_of(context)
    url = webhook_url or session.outputs.get(connection.WEBHOOK_URL)
    place = Place(session.stack, session.outputs, url, clock.utc_now(), is_deep=deep)
    findings: list[Finding] = []
    with session.work(CHECKS, "Checking", len(CHECKS), "checks") as waiting:
        for check in waiting:
            findings += examine(place, [check])
    counts = Counter(finding.verdict for finding in findings)
    numbers = {verdict.value: counts[verdict] for verdict in Verdict}
    summary = ", ".join(f"{number} {verdict}" for verdict, number in numbers.items())
    values = {"lines": [asdict(finding) for finding in findings], **numbers}
    session.show(values, _table(findings, session.out), f"{summary}.")
    session.end(failed=bool(counts[Verdict.BAD]))
    if counts[Verdict.UNKNOWN]:
        raise typer.Exit(UNKNOWN)


def _table(findings: Sequence[Finding], console: Console) -> Table:
    rows = [
        (Text(each.verdict.value, style=_COLOUR[each.verdict]), each.subject, _what(each, console)) for each in findings
    ]
    what = Column("What", max_width=WIDEST_SUBJECT if console.width < NARROW else None)
    return table_of([whole(""), what, "Finding"], rows)


def _what(finding: Finding, console: Console) -> str:
    """Return what was found, and below it (where there is room, beside it) what to do next."""
    between = "\n" if console.width < NARROW else " "
    return finding.detail + (f"{between}→ {finding.advice}" if finding.advice else "")
