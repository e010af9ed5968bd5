"""Stripe's events, processed once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from billing import clock
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.stripe_limits import EVENTS_KEPT
from billing.webhooks.delivery import deliver
from billing.webhooks.events import StripeEvent
from operations import replay
from operations.output import table_of, whole
from operations.session import FAILURES, DryRun, Time, in_words, read_time, session_of, without_metrics


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
    events: Sequence[StripeEvent | str] = event_ids or replay.undelivered_events(
        gateway, max(read_time(since, now - EVENTS_KEPT), now - EVENTS_KEPT)
    )
    rows: list[dict[str, Any]] = []
    with session.work(events, "Replaying", len(events), "events") as waiting:
        for event in waiting:
            rows.append(_replayed(event, gateway, dry_run=dry_run))
    cells = [
        (
            row["event_id"],
            row["event_type"] or "",
            row.get("error") or row["outcome"] or "would be replayed",
            row.get("organization_id") or "",
        )
        for row in rows
    ]
    table = table_of([whole("Event"), "Type", "Outcome", "Organisation"], cells)
    session.show({"events": rows, "dry_run": dry_run}, table if events else "Every event has arrived.")
    session.end(failed=any(row["outcome"] == "failed" for row in rows))


def _replayed(event: StripeEvent | str, gateway: StripeGateway, *, dry_run: bool) -> dict[str, Any]:
    """Process an event, or the one with that id, unless it is a dry run; return what came of it."""
    row: dict[str, Any] = {"event_id": event if isinstance(event, str) else event.event_id, "event_type": None}
    try:
        if isinstance(event, str):
            event = replay.event_by_id(gateway, event)
        row |= {"event_type": event.event_type, "outcome": None}
        if not dry_run:
            with without_metrics():
                delivered = deliver(event, gateway)
            row |= {"outcome": delivered.outcome, "organization_id": delivered.organization_id}
    except FAILURES as error:
        row |= {"outcome": "failed", "error": in_words(error)}
    return row
