"""Reported hours compared with what Stripe counted."""

from __future__ import annotations

from dataclasses import replace

import typer

from billing.comparison_requests import read_request
from billing.errors import RefusedError
from billing.reconciliation.comparison import ComparisonSummary
from billing.reconciliation.invocation import carry_out
from billing.tables.subscriptions import SEGMENTS
from operations.session import DryRun, Time, session_of, without_metrics


def reconcile(context: typer.Context, start: Time = None, end: Time = None, dry_run: DryRun = False) -> None:
    """Compare what Stripe counted with what was reported (by default the past two days), and make due what differs.

    Exit code 1 where an organisation could not be compared.
    """
    session = session_of(context)
    options = {name: text for name, text in (("start", start), ("end", end)) if text is not None}
    try:
        request = read_request(options)
    except RefusedError as error:
        raise typer.BadParameter(str(error)) from None
    summary = ComparisonSummary()
    for segment in session.progress(range(SEGMENTS), "Comparing", SEGMENTS):
        with without_metrics():
            compared = carry_out(replace(request, segment=segment), dry_run=dry_run)
        summary.organizations += compared.organizations
        summary.hours += compared.hours
        summary.drift_events += compared.drift_events
        summary.drift_units += compared.drift_units
        summary.made_due += compared.made_due
        summary.failures += compared.failures
    conclusion = (
        f"{summary.hours} reported hours of {summary.organizations} organisations compared: "
        f"{summary.drift_events} meter hours differ, by {summary.drift_units:g} units; "
        f"{summary.made_due} hours made due; {summary.failures} organisations could not be compared."
    )
    session.show({**summary.as_dict(), "dry_run": dry_run}, conclusion)
    if summary.failures:
        raise typer.Exit(1)
