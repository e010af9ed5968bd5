"""A batch of a table's stream in, events on the bus out; by a schedule, what time alone has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing import clock, telemetry
from billing.access.ending import write_ended_access
from billing.billing_events.stream import tell_batch
from billing.time_limit import may_continue


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Tell what a stream's records have changed; without records, write the accesses that have ended by now."""
    try:
        if isinstance(event, Mapping) and "Records" in event:
            return tell_batch(event)
        return {"accesses_ended": write_ended_access(clock.utc_now(), may_continue(context))}
    finally:
        telemetry.flush()
