"""Stripe's events, processed once more."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException
from rich.table import Table

from billing import clock
from billing.errors import BillingError
from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_limits import EVENTS_KEPT
from billing.webhooks.delivery import deliver
from operations import replay
from operations.session import DryRun, Time, read_time, session_of, without_metrics


def replay_events(
    context: typer.Context,
    event_ids: Annotated[
        list[str] | None, typer.Argument(help="Events to replay; without any, those that did not arrive.")
    ] = None,
    since: Time = None,
    dry_run: DryRun = False,
) -> None:
    """Process Stripe's events of the past 30 days that were not delivered, or chosen ones, as the webhook does.

    Exit code 1 where one of them failed; the others are processed all the same.
    """
    session, now = session_of(context), clock.utc_now()
    gateway = stripe_gateway()
    if event_ids:
        events = replay.events_by_id(gateway, event_ids)
    else:
        events = replay.undelivered_events(gateway, max(read_time(since, now - EVENTS_KEPT), now - EVENTS_KEPT))
    rows: list[dict[str, Any]] = []
    for event in session.progress(events, "Replaying", len(events)):
        row: dict[str, Any] = {"event_id": event.event_id, "event_type": event.event_type, "outcome": None}
        if not dry_run:
            try:
                with without_metrics():
                    delivered = deliver(event, gateway)
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
