"""Due and refused hours: counted, listed, put back."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from billing import clock
from billing.metering.due import oldest_due
from billing.stripe_limits import OLDEST_USAGE
from billing.tables.usage import SHARDS
from operations import backlog, connection
from operations.last_runs import last_runs
from operations.session import DryRun, Session, Time, read_time, session_of


def status(
    context: typer.Context,
    refused: Annotated[
        bool, typer.Option(help="Also count refused hours, for which the whole usage table is read.")
    ] = True,
) -> None:
    """Show how far billing is behind: due and refused hours, and the last runs (with --stack)."""
    session, now = session_of(context), clock.utc_now()
    is_set_up = connection.is_set_up() if session.stack else True
    oldest_end = oldest_due()
    due_hours = sum(backlog.count_due(shard, now) for shard in session.progress(range(SHARDS), "Due hours", SHARDS))
    values: dict[str, Any] = {
        "oldest_due_hour_end": oldest_end and clock.format_time(oldest_end),
        "due_hours": due_hours,
    }
    table = Table("", "", show_header=False, box=None)
    if is_set_up is False:
        table.add_row("Not set up yet", "there is no Stripe key in the stack's secret (docs/deploy.md)")
    table.add_row("Due hours that have ended", str(due_hours))
    table.add_row("The oldest due hour ended", _time_and_age(oldest_end, now) if oldest_end else "none is due")
    if refused:
        hours = _all_refused(session, now - OLDEST_USAGE)
        by_code = dict(Counter(hour.code for hour in hours).most_common())
        values["refused_hours"] = by_code
        counts = ", ".join(f"{number} {code}" for code, number in by_code.items())
        table.add_row(f"Refused hours of the past {OLDEST_USAGE.days} days", counts or "none")
    if session.stack:
        runs = last_runs(connection.aws_client("cloudwatch"), session.stack, now)
        values["set_up"] = is_set_up
        values["last_runs"] = runs.as_dict()
        table.add_row("Runs of the past day", f"{runs.succeeded} succeeded, {runs.failed} failed")
        table.add_row("Last successful run", _hour_or_none(runs.last_success))
    session.show(values, table)


def _all_refused(session: Session, since: datetime) -> list[backlog.RefusedHour]:
    segments = session.progress(backlog.all_refused(since), "Refused hours", backlog.SEGMENTS)
    return [hour for hours in segments for hour in hours]


def _time_and_age(moment: datetime, now: datetime) -> str:
    age = f" ({_hours_and_minutes(now - moment)} ago)" if moment < now else ""
    return clock.format_time(moment) + age


def _hour_or_none(moment: datetime | None) -> str:
    return f"in the hour from {clock.format_time(moment)}" if moment else "none in the past day"


def _hours_and_minutes(age: timedelta) -> str:
    hours, minutes = divmod(int(age.total_seconds()) // 60, 60)
    return f"{hours // 24} d {hours % 24} h" if hours >= 48 else f"{hours} h {minutes} min"


def due(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="Show so many, oldest first.")] = 20
) -> None:
    """List the hours that have ended and that are not reported to Stripe yet."""
    session = session_of(context)
    keys = backlog.oldest_due_hours(clock.utc_now(), limit)
    table = Table("Organisation", "Hour")
    for organization_id, window_start in keys:
        table.add_row(organization_id, window_start)
    hours = [{"organization_id": key[0], "window_start": key[1]} for key in keys]
    session.show({"hours": hours}, table if keys else "No hour is due.")


def requeue_refused(
    context: typer.Context,
    organization: Annotated[str | None, typer.Option(help="Only this organisation's hours.")] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only those with this code (no_such_customer, …).")
    ] = None,
    since: Time = None,
    dry_run: DryRun = False,
) -> None:
    """Make refused hours due again, so that the next run tries to bill them.

    Hours that began more than 35 days ago stay refused: Stripe takes no usage that old.
    """
    session, now = session_of(context), clock.utc_now()
    start = max(read_time(since, now - OLDEST_USAGE), now - OLDEST_USAGE)
    hours = _all_refused(session, start) if organization is None else backlog.refused_of(organization, start)
    hours = sorted(
        (hour for hour in hours if reason in (None, hour.code)),
        key=lambda hour: (hour.organization_id, hour.window_start),
    )
    made_due = 0
    if not dry_run:
        made_due = sum(backlog.requeue(hour) for hour in session.progress(hours, "Making them due", len(hours)))
    table = Table("Organisation", "Hour", "Reason")
    for hour in hours:
        table.add_row(hour.organization_id, hour.window_start, hour.reason)
    became_due = f"{made_due} of {len(hours)} hours are due again."
    conclusion = f"{len(hours)} hours would become due." if dry_run else became_due
    session.show(
        {"hours": [hour.as_dict() for hour in hours], "made_due": made_due, "dry_run": dry_run},
        *([table] if hours else []),
        conclusion,
    )
