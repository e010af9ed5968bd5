"""What is behind an invoice's lines: the hours, the corrections and the sum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from billing import clock
from operations.explanations import CSV_COLUMNS, rows_of, shown, values_of
from operations.invoices import explain_at, explain_invoice
from operations.output import csv_line, write_file
from operations.session import read_time, session_of
from operations.statement import page

INVOICE = "in_"


def explain(
    context: typer.Context,
    subject: Annotated[
        str, typer.Argument(metavar="INVOICE|ORGANISATION", help="An id like in_1Q…, or the organisation's.")
    ],
    period: Annotated[
        str | None, typer.Option(metavar="TIME", help="The organisation's period that begins then, or has that moment.")
    ] = None,
    subscription: Annotated[
        str | None, typer.Option(metavar="ID", help="Of several at that moment, this one's.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print rows for a spreadsheet.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one page that can be sent to the customer.")
    ] = None,
) -> None:
    """Explain an invoice: each line's hours, what was corrected, carried in or out, and whether it adds up.

    For an organisation its present period, or that of --period. An invoice is looked up at Stripe, by one call. Reads
    the period's hours: some 50 read units for a month with usage in every hour.
    """
    session = session_of(context)
    if as_csv and session.as_json:
        raise typer.BadParameter("--csv and --json exclude each other")
    now = clock.utc_now()
    if subject.startswith(INVOICE) and period is None and subscription is None:
        explanation = explain_invoice(subject, now, session.err.print)
    else:
        moment = None if period is None else read_time(period, now)
        explanation = explain_at(subject, moment, subscription, now)
    if html is not None:
        write_file(html, page(explanation))
    if as_csv:
        for row in (CSV_COLUMNS, *rows_of(explanation)):
            session.out.out(csv_line(row), highlight=False)
        return
    parts = [f"Written to {html}."] if html is not None else shown(explanation, session.out)
    session.show(values_of(explanation), *parts)
