"""The operator's command line: look at the backlog, put it back, compare, replay, provision."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from billing import clock, telemetry
from billing.api.requests import read_range
from billing.errors import BillingError, RefusedError
from billing.metering.due import oldest_due
from billing.reconciliation.comparison import ComparisonSummary
from billing.reconciliation.invocation import carry_out
from billing.reconciliation.requests import read_request
from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_limits import EVENTS_KEPT, OLDEST_USAGE
from billing.tables.subscriptions import SEGMENTS, SubscriptionRecord
from billing.tables.usage import SHARDS
from billing.usage.reading import totals, usage_between
from operations import backlog, connection, replay
from operations.last_runs import last_runs
from operations.picture import COLOURS, picture
from operations.provisioning.account import plan_account
from operations.provisioning.catalogue import DEFAULT_PATH, read_catalogue
from operations.provisioning.sales import Sales
from operations.provisioning.secrets import StripeSecretDocument
from operations.provisioning.steps import Action, Step, changes, refusals

Item = TypeVar("Item")

app = typer.Typer(
    name="operate",
    help="Operate the usage billing stack. Without --stack the environment says which tables and which Stripe key.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(slots=True)
class Session:
    """Hold what the options before the command say. `outputs` are the stack's, empty without a stack."""

    stack: str | None
    as_json: bool
    outputs: Mapping[str, str]
    out: Console
    err: Console

    def show(self, values: Mapping[str, Any], *shown: Any) -> None:
        """Print the values for programs, or what is shown for people."""
        if self.as_json:
            self.out.print_json(json.dumps(values, default=str))
        else:
            for each in shown:
                self.out.print(each)

    def progress(self, items: Iterable[Item], title: str, total: int) -> Iterator[Item]:
        """Yield the items with a progress bar, which is gone afterwards and never there for programs."""
        with Progress(console=self.err, transient=True, disable=self.as_json or not self.err.is_terminal) as bar:
            yield from bar.track(items, total=total, description=title)


def _session(context: typer.Context) -> Session:
    session = context.find_object(Session)
    assert session is not None  # noqa: S101  # `options` below has run
    return session


@app.callback()
def options(
    context: typer.Context,
    stack: Annotated[str | None, typer.Option(help="The CloudFormation stack to operate.", envvar="STACK")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the code's own log.")] = False,
) -> None:
    """Take what holds for every command."""
    telemetry.logger.setLevel(logging.INFO if verbose else logging.CRITICAL)
    for handler in telemetry.logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.stderr
    outputs = connection.use_stack(stack) if stack else {}
    context.obj = Session(stack, as_json, outputs, Console(), Console(stderr=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an error of ours or of a service is one line, without a trace."""
    try:
        app(None if arguments is None else list(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (BillingError, BotoCoreError, ClientError, PynamoDBException) as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False)
        return 1
    return 0


# ------------------------------------------------------------------------------------------------------------ options

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]
Time = Annotated[str | None, typer.Option(metavar="TIME", help='Like "2026-11-23T08:00:00Z".')]


def _time(text: str | None, default: datetime) -> datetime:
    if text is None:
        return default
    try:
        return clock.parse_time(text)
    except ValueError:
        raise typer.BadParameter(f'{text!r} is no time like "2026-11-23T08:00:00Z"') from None


@contextlib.contextmanager
def _without_metrics() -> Iterator[None]:
    """Drop the metrics that the functions' code prints for CloudWatch: here nobody collects them."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


# ------------------------------------------------------------------------------------------------------------- backlog


@app.command()
def status(
    context: typer.Context,
    refused: Annotated[
        bool, typer.Option(help="Also count refused hours, for which the whole usage table is read.")
    ] = True,
) -> None:
    """Show how far billing is behind: due and refused hours, and the last runs (with --stack)."""
    session, now = _session(context), clock.utc_now()
    oldest = oldest_due()
    overdue = sum(backlog.count_due(shard, now) for shard in session.progress(range(SHARDS), "Due hours", SHARDS))
    found: dict[str, Any] = {"oldest_due_hour_end": oldest and clock.format_time(oldest), "due_hours": overdue}
    table = Table("", "", show_header=False, box=None)
    table.add_row("Due hours that have ended", str(overdue))
    age = f" ({_age(now - oldest)} ago)" if oldest and oldest < now else ""
    table.add_row("The oldest due hour ended", clock.format_time(oldest) + age if oldest else "none is due")
    if refused:
        parts = session.progress(backlog.all_refused(now - OLDEST_USAGE), "Refused hours", backlog.SEGMENTS)
        by_code = backlog.count_by_code(hour for part in parts for hour in part)
        found["refused_hours"] = by_code
        told = ", ".join(f"{number} {code}" for code, number in by_code.items())
        table.add_row("Refused hours of the past 35 days", told or "none")
    if session.stack:
        runs = last_runs(connection.aws_client("cloudwatch"), session.stack, now)
        found["last_runs"] = runs.as_dict()
        table.add_row("Runs of the past day", f"{runs.succeeded} succeeded, {runs.failed} failed")
        table.add_row("Last successful run", _hour_or_none(runs.last_success))
    session.show(found, table)


def _hour_or_none(moment: datetime | None) -> str:
    return f"in the hour from {clock.format_time(moment)}" if moment else "none in the past day"


def _age(age: timedelta) -> str:
    hours, minutes = divmod(int(age.total_seconds()) // 60, 60)
    return f"{hours // 24} d {hours % 24} h" if hours >= 48 else f"{hours} h {minutes} min"


@app.command()
def due(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="Show so many, oldest first.")] = 20
) -> None:
    """List the hours that have ended and that Stripe has yet to be told of."""
    session = _session(context)
    keys = backlog.oldest_due_hours(clock.utc_now(), limit)
    table = Table("Organisation", "Hour")
    for organization_id, window_start in keys:
        table.add_row(organization_id, window_start)
    hours = [{"organization_id": key[0], "window_start": key[1]} for key in keys]
    session.show({"hours": hours}, table if keys else "No hour is due.")


@app.command("requeue-refused")
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

    Hours that began more than 35 days ago stay as they are: Stripe takes them no more.
    """
    session, now = _session(context), clock.utc_now()
    start = max(_time(since, now - OLDEST_USAGE), now - OLDEST_USAGE)
    if organization is not None:
        hours = backlog.refused_of(organization, start)
    else:
        parts = session.progress(backlog.all_refused(start), "Refused hours", backlog.SEGMENTS)
        hours = [hour for part in parts for hour in part]
    hours = sorted(
        (hour for hour in hours if reason in (None, hour.code)),
        key=lambda hour: (hour.organization_id, hour.window_start),
    )
    done = 0
    if not dry_run:
        done = sum(backlog.requeue(hour) for hour in session.progress(hours, "Making them due", len(hours)))
    table = Table("Organisation", "Hour", "Reason")
    for hour in hours:
        table.add_row(hour.organization_id, hour.window_start, hour.reason)
    told = f"{len(hours)} hours would become due." if dry_run else f"{done} of {len(hours)} hours are due again."
    session.show(
        {"hours": [hour.as_dict() for hour in hours], "made_due": done, "dry_run": dry_run},
        *([table] if hours else []),
        told,
    )


# ------------------------------------------------------------------------------------------------------- with Stripe


@app.command()
def reconcile(context: typer.Context, start: Time = None, end: Time = None, dry_run: DryRun = False) -> None:
    """Compare what Stripe counted with what was reported (by default the past two days), and make due what differs.

    Exit code 1 where an organisation could not be compared.
    """
    session = _session(context)
    given = {name: text for name, text in (("start", start), ("end", end)) if text is not None}
    try:
        request = read_request(given)
    except RefusedError as error:
        raise typer.BadParameter(str(error)) from None
    summary = ComparisonSummary()
    for segment in session.progress(range(SEGMENTS), "Comparing", SEGMENTS):
        with _without_metrics():
            part = carry_out(replace(request, segment=segment), dry_run=dry_run)
        summary.organizations += part.organizations
        summary.hours += part.hours
        summary.drift_events += part.drift_events
        summary.drift_units += part.drift_units
        summary.made_due += part.made_due
        summary.failures += part.failures
    told = (
        f"{summary.hours} reported hours of {summary.organizations} organisations compared: "
        f"{summary.drift_events} meter hours differ, by {summary.drift_units:g} units; "
        f"{summary.made_due} hours made due; {summary.failures} organisations could not be compared."
    )
    session.show({**summary.as_dict(), "dry_run": dry_run}, told)
    if summary.failures:
        raise typer.Exit(1)


@app.command("replay-events")
def replay_events(
    context: typer.Context,
    event_ids: Annotated[
        list[str] | None, typer.Argument(help="Events to replay; without any, those that did not arrive.")
    ] = None,
    since: Time = None,
    dry_run: DryRun = False,
) -> None:
    """Work off Stripe's events of the past 30 days that were not delivered, or chosen ones, as the webhook does.

    Exit code 1 where one of them failed; the others were worked off all the same.
    """
    session, now = _session(context), clock.utc_now()
    gateway = stripe_gateway()
    if event_ids:
        events = replay.chosen(gateway, event_ids)
    else:
        events = replay.undelivered(gateway, max(_time(since, now - EVENTS_KEPT), now - EVENTS_KEPT))
    rows: list[dict[str, Any]] = []
    for event in session.progress(events, "Replaying", len(events)):
        row: dict[str, Any] = {"event_id": event.event_id, "event_type": event.event_type, "outcome": None}
        if not dry_run:
            try:
                with _without_metrics():
                    delivered = replay.replay(event, gateway)
                row |= {"outcome": delivered.outcome, "organization_id": delivered.organization_id}
            except (BillingError, BotoCoreError, ClientError, PynamoDBException) as error:
                row |= {"outcome": "failed", "error": f"{type(error).__name__}: {error}"}
        rows.append(row)
    failed = sum(row["outcome"] == "failed" for row in rows)
    table = Table("Event", "Type", "Outcome", "Organisation")
    for row in rows:
        outcome = row["outcome"] or "would be replayed"
        table.add_row(row["event_id"], row["event_type"], row.get("error", outcome), row.get("organization_id"))
    session.show({"events": rows, "dry_run": dry_run}, table if rows else "Every event has arrived.")
    if failed:
        raise typer.Exit(1)


@app.command()
def usage(
    context: typer.Context,
    organization: Annotated[str, typer.Argument(help="The organisation's id.")],
    start: Time = None,
    end: Time = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the hours instead of listing them.")] = False,
) -> None:
    """Show what an organisation used hour by hour, and what Stripe was told of it (by default the past week)."""
    session = _session(context)
    try:
        since, until = read_range(start, end)
    except RefusedError as error:
        raise typer.BadParameter(f"start or end: {error}") from None
    hours = usage_between(organization, since, until)
    summed = totals(hours)
    table = Table("Hour", "State", *(f"{name} {what}" for name in summed for what in ("counted", "reported")), "Reason")
    for hour in hours:
        cells = [str(part.get(name, "")) for name in summed for part in (hour.counted, hour.reported)]
        state = f"[{COLOURS[hour.state]}]{hour.state}[/]"
        table.add_row(hour.window_start, state, *cells, hour.reason or "")
    table.add_section()
    last = [str(number) for total in summed.values() for number in (total.counted, total.reported)]
    table.add_row("Total", "", *last, "last hour's number for `last` meters")
    record = SubscriptionRecord.of(organization)
    customer = (record.stripe_customer_id if record is not None else None) or "no Stripe customer"
    title = (
        f"{organization}: {customer}, {record.status if record is not None and record.status else 'no subscription'}"
    )
    values = {
        "organization_id": organization,
        "hours": [asdict(hour) for hour in hours],
        "totals": {name: asdict(total) for name, total in summed.items()},
    }
    if not hours:
        session.show(values, title, "No usage in these hours.")
    else:
        session.show(values, title, picture(hours, session.out.width) if plot else table)


# -------------------------------------------------------------------------------------------------------- provisioning

_COLOUR = {
    Action.KEEP: "dim",
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.REPLACE: "yellow",
    Action.REFUSE: "red",
    Action.NOTE: "magenta",
}


@app.command()
def provision(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Carry the plan out.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 where the account is not as planned.")] = False,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where Stripe is to deliver; the stack's own with --stack.")
    ] = None,
    secrets_file: Annotated[
        Path | None, typer.Option(help="Keep signing secrets in this file (local runs), not in Secrets Manager.")
    ] = None,
    rotate_secrets: Annotated[
        bool, typer.Option("--rotate-secrets", help="Replace both destinations, which then sign with new secrets.")
    ] = False,
    catalogue: Annotated[Path, typer.Option(help="The file of products and prices.")] = DEFAULT_PATH,
) -> None:
    """Make the Stripe account as the file and the code have it: meters, products, prices, webhook destinations.

    Shows the plan; --apply carries it out. Safe to run again. Where something cannot be changed, nothing is.
    """
    session = _session(context)
    gateway = stripe_gateway()
    sales = Sales(read_catalogue(catalogue), gateway)
    url = webhook_url or session.outputs.get(connection.WEBHOOK_URL)

    store = connection.secret_store(secrets_file)
    secrets = StripeSecretDocument(store) if store is not None else None
    steps = plan_account(sales, gateway, url, secrets, rotate=rotate_secrets)
    refused = refusals(steps)
    if apply and changes(steps) and not refused:
        if not session.as_json:
            session.out.print(_plan_table(steps))
        for step in session.progress(changes(steps), "Provisioning", len(changes(steps))):
            assert step.carry_out is not None  # noqa: S101  # that is what `changes` chose
            step.carry_out()
        steps = plan_account(sales, gateway, url, secrets)
    left = changes(steps)
    if refused:
        told = "[red]Nothing was changed[/red]: see what is refused above."
    elif left and not apply:
        told = "This is the plan; --apply carries it out."
    elif left:
        told = "[red]Stripe does not show all of it yet[/red]: run again."
    else:
        told = "The account is as planned."
    values = {
        "steps": [step.as_dict() for step in steps],
        "applied": apply and not refused,
        "price_ids": sales.price_ids,
    }
    prices = "AllowedPriceIds=" + ",".join(sales.price_ids.values())
    session.show(values, _plan_table(steps), told, *([prices] if sales.price_ids else []))
    if refused or (left and (apply or check)):
        raise typer.Exit(1)


def _plan_table(steps: Iterable[Step]) -> Table:
    table = Table("", "What", "How")
    for step in steps:
        table.add_row(f"[{_COLOUR[step.action]}]{step.action.value}[/]", step.subject, step.detail)
    return table
