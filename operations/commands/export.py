"""A month of everybody's usage, for a spreadsheet, a warehouse or an auditor."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import typer

from billing import clock
from billing.clock import format_time
from operations.export import Row, month_of, rows_of, rows_of_everybody, rows_of_recorded
from operations.export_formats import Format, Writer, file_writer, text_writer
from operations.organizations import check_is_known
from operations.session import Session, session_of


def export(
    context: typer.Context,
    month: Annotated[str, typer.Option(metavar="YYYY-MM", help="The month, in UTC.")],
    organization: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this one's; can be given several times.")
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--scan", help="Read UsageTable whole: also who has usage and no record.")
    ] = False,
    format_name: Annotated[Format, typer.Option("--format", help="Of the rows.")] = "csv",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write; stdout if left out.")] = None,
) -> None:
    """Write a month's usage: a row for each organisation, hour and meter; docs/finance.md has the columns.

    Written as it is read, whatever there is. Costs a query of the month for each organisation that has a record: about
    50 read units where every hour has usage. With --scan one unit for each 8 KB of all hours that were ever counted.
    """
    session = session_of(context)
    try:
        start, end = month_of(month)
    except ValueError:
        raise typer.BadParameter(f'--month: {month!r} is no month like "2026-10"') from None
    if output is None and format_name == "parquet":
        raise typer.BadParameter("--format parquet needs --output FILE")
    if output is None and session.as_json:
        raise typer.BadParameter("--json tells what was written to --output FILE; rows as JSON are --format jsonl")
    if organization and everybody:
        raise typer.BadParameter("--organization and --scan exclude each other")
    now = clock.utc_now()
    for each in organization or ():
        check_is_known(each)
    if end > now:
        session.err.print(f"The month is not over: the rows are those until {format_time(now)}.")
    if organization:
        parts = rows_of(organization, start, end, now)
    else:
        parts = rows_of_everybody(start, end, now) if everybody else rows_of_recorded(start, end, now)
    organizations, rows = _write(session, parts, format_name, output)
    session.end()
    if output is not None:
        values = {
            "month": month,
            "organizations": organizations,
            "rows": rows,
            "format": format_name,
            "output": str(output),
        }
        session.show(values, f"{rows} rows of {organizations} organisations are in {output}.")


def _write(session: Session, parts: Generator[list[Row]], format_name: Format, output: Path | None) -> tuple[int, int]:
    """Write all rows; return of how many organisations, and how many. What is interrupted says so."""
    organizations = rows = 0
    try:
        with contextlib.closing(parts), _writer(session, format_name, output) as write:
            for part in parts:
                write(part)
                organizations += bool(part)
                rows += len(part)
    except KeyboardInterrupt:
        what = f"{output} was not written" if output is not None else "these are not all rows"
        session.interruption = f"Interrupted after {rows} rows of {organizations} organisations: {what}."
        if session.as_json:
            session.show({})
        else:
            session.err.print(session.interruption)
    return organizations, rows


def _writer(session: Session, format_name: Format, output: Path | None) -> contextlib.AbstractContextManager[Writer]:
    if output is not None:
        return file_writer(format_name, output)
    return text_writer(format_name, lambda text: session.out.out(text, end="", highlight=False))
