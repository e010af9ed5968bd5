"""Scheduled event, an organisation's id, or queue message in, run summary out: usage to Stripe's meters."""

from __future__ import annotations

from typing import Any

from billing import clock, telemetry
from billing.metering.invocation import (
    due_until,
    emit_backlog,
    only_measures,
    process_organization,
    process_shards,
    requested_organization,
)
from billing.settings import metering_queue_url
from billing.stripe_secrets import is_set_up
from billing.tables.usage import SHARDS
from billing.time_limit import may_continue


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Bill every due hour; with a queue configured, enqueue the shards for the workers instead.

    An event `{"organization_id": "acme"}` has that organisation's due hours billed alone, and at once, with
    `"running_hour": true` also what the running hour counts so far;
    `{"measure": "backlog"}` bills nothing.

    Raises:
        BillingError: nothing was sent; the message says what to do. The hours stay due.
    """
    try:
        until = due_until(event)
        organization_id = requested_organization(event)
        if organization_id is not None:
            return process_organization(organization_id, until, may_continue(context)).as_dict()
        age = emit_backlog(clock.utc_now())
        if only_measures(event):
            return {"oldest_due_hour_age": age}
        if not is_set_up():
            # Nothing is broken, so nothing rings, and nothing is tried again: hours wait, and tell when they wait long.
            telemetry.count("runs_succeeded")
            return {"not_set_up": True}
        queue_url = metering_queue_url()
        if queue_url:
            from billing.metering.fan_out import enqueue_shards

            return {"enqueued": enqueue_shards(queue_url, until)}
        return process_shards(range(SHARDS), until, may_continue(context)).as_dict()
    finally:
        telemetry.flush()


def worker(event: Any, context: Any) -> dict[str, Any]:
    """Bill the due hours of the shards that a batch of queue messages names; return which messages failed."""
    from billing.metering.fan_out import process_messages

    try:
        return process_messages(event, context, may_continue(context))
    finally:
        telemetry.flush()
