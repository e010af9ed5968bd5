"""Scheduled event or queue message in, comparison summary out: what Stripe counted against what was reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing import telemetry
from billing.comparison_requests import enqueue, read_request
from billing.reconciliation.invocation import carry_out, process_messages
from billing.settings import reconciliation_queue_url
from billing.stripe_secrets import is_set_up
from billing.time_limit import may_continue


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Enqueue a request in parts, or carry it out where there is no queue; process the queue's messages.

    A request may have `start`, `end` (whole UTC hours, `2026-11-23T08:00:00Z`), `meter_id` and `segment`; without
    them all closed hours of the past days are compared.

    Raises:
        BillingError: the request cannot be understood, or Stripe's meters cannot be read.
    """
    try:
        if isinstance(event, Mapping) and "Records" in event:
            return process_messages(event, context, may_continue(context))
        request = read_request(event if isinstance(event, Mapping) else {})
        if not is_set_up():
            # Nothing is broken, so nothing rings, and nothing is tried again.
            telemetry.count("hours_compared", 0)
            return {"not_set_up": True}
        if reconciliation_queue_url():
            return {"enqueued": enqueue(request)}
        return carry_out(request, may_continue(context)).as_dict()
    finally:
        telemetry.flush()
