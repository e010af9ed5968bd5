"""Asking for a comparison: one message for each part of the organisations, on the reconciliation queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from billing import clock
from billing.errors import RefusedError
from billing.queues import send_messages
from billing.settings import positive_number, reconciliation_queue_url
from billing.stripe_limits import OLDEST_USAGE
from billing.tables.subscriptions import SEGMENTS
from billing.telemetry import logger

DEFAULT_DAYS = 2


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """Ask for the hours from `start` up to `end` of one part of the organisations, all meters or one.

    `segment` is None for all organisations; `after` continues behind an organisation that was compared already.
    """

    start: datetime
    end: datetime
    segment: int | None = None
    meter_id: str | None = None
    after: str | None = None

    def as_message(self) -> str:
        """Return the request as a message's body."""
        values = {
            "start": clock.format_time(self.start),
            "end": clock.format_time(self.end),
            "segment": self.segment,
            "meter_id": self.meter_id,
            "after": self.after,
        }
        return json.dumps({name: value for name, value in values.items() if value is not None})


def read_request(values: Mapping[str, Any]) -> ComparisonRequest:
    """Read a request from a message or an invocation; what it leaves out is the closed hours of the past days.

    Raises:
        RefusedError: a part of it cannot be understood; the message names the part.
    """
    now = clock.utc_now()
    end = _hour(values, "end", clock.hour_of(now))
    start = _hour(values, "start", end - timedelta(days=positive_number("RECONCILIATION_DAYS", DEFAULT_DAYS)))
    start = clock.hour_of(start)
    if not start < end:
        raise RefusedError(f"start ({clock.format_time(start)}) must lie before end ({clock.format_time(end)})")
    if start < now - OLDEST_USAGE - clock.HOUR:
        raise RefusedError("start lies more than 35 days back; Stripe takes no correction of such usage")
    segment = values.get("segment")
    if segment is not None and (
        isinstance(segment, bool) or not isinstance(segment, int) or not 0 <= segment < SEGMENTS
    ):
        raise RefusedError(f"segment is {segment!r}; it must be a whole number from 0 to {SEGMENTS - 1}")
    return ComparisonRequest(start, min(end, clock.hour_of(now)), segment, values.get("meter_id"), values.get("after"))


def _hour(values: Mapping[str, Any], name: str, default: datetime) -> datetime:
    text = values.get(name)
    if text is None:
        return default
    try:
        return clock.hour_of(clock.parse_time(text))
    except (TypeError, ValueError):
        raise RefusedError(f'{name} is {text!r}; it must be like "2026-11-23T08:00:00Z"') from None


def request_comparison(meter_id: str | None) -> None:
    """Have the hours of one Stripe meter compared soon, or (None) those of all meters."""
    if not reconciliation_queue_url():
        logger.warning(
            "RECONCILIATION_QUEUE_URL is empty: the comparison waits for the next scheduled one",
            extra={"stripe_meter_id": meter_id},
        )
        return
    enqueue(replace(read_request({}), meter_id=meter_id))


def enqueue(request: ComparisonRequest) -> int:
    """Put a request on the queue, one message for each part of the organisations; return how many.

    Raises:
        UnavailableError: the queue did not take all of them. Those that it took are carried out all the same.
    """
    requests = (
        [request] if request.segment is not None else [replace(request, segment=part) for part in range(SEGMENTS)]
    )
    return send_messages(reconciliation_queue_url(), [{"MessageBody": each.as_message()} for each in requests])
