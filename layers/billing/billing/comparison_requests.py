"""Asking for a comparison: one message for each part of the organisations, on the reconciliation queue."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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
# Stripe counts asynchronously: what was reported a moment ago may not be in its summaries yet.
SUMMARY_LAG = timedelta(hours=1)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-timers.html
LONGEST_DELAY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """Ask for the hours from `start` up to `end` of one part of the organisations, all meters or one.

    `reported_since` adds the older hours, back to Stripe's 35 days, that were reported at that moment or later; None
    adds none. The comparison waits in the queue until `not_before`. `segment` is None for all organisations; `after`
    continues behind an organisation that was compared already.
    """

    start: datetime
    end: datetime
    reported_since: datetime | None = None
    not_before: datetime | None = None
    segment: int | None = None
    meter_id: str | None = None
    after: str | None = None

    def delay(self, now: datetime) -> timedelta:
        """Return how long the request has to wait still; zero where its time has come."""
        return max(timedelta(0), self.not_before - now) if self.not_before else timedelta(0)

    def as_message(self) -> dict[str, Any]:
        """Return the request as a message, delayed by up to 15 minutes: who receives it too early enqueues it again."""
        values = asdict(self)
        body = {
            name: clock.format_time(value) if isinstance(value, datetime) else value
            for name, value in values.items()
            if value is not None
        }
        delay = min(LONGEST_DELAY, self.delay(clock.utc_now()))
        return {"MessageBody": json.dumps(body), "DelaySeconds": math.ceil(delay.total_seconds())}


def read_request(values: Mapping[str, Any]) -> ComparisonRequest:
    """Read a request from a message or an invocation.

    Without `start` it is the closed hours of the past days, and whatever older hour was reported in these days: so what
    was reported late is compared too.

    Raises:
        RefusedError: a part of it cannot be understood; the message names the part.
    """
    now = clock.utc_now()
    end = clock.hour_of(_time(values, "end") or now)
    past_days = end - timedelta(days=positive_number("RECONCILIATION_DAYS", DEFAULT_DAYS))
    start = clock.hour_of(_time(values, "start") or past_days)
    if not start < end:
        raise RefusedError(f"start ({clock.format_time(start)}) must lie before end ({clock.format_time(end)})")
    if start < now - OLDEST_USAGE - clock.HOUR:
        raise RefusedError("start lies more than 35 days back; Stripe takes no correction of such usage")
    segment = values.get("segment")
    if segment is not None and (
        isinstance(segment, bool) or not isinstance(segment, int) or not 0 <= segment < SEGMENTS
    ):
        raise RefusedError(f"segment is {segment!r}; it must be a whole number from 0 to {SEGMENTS - 1}")
    return ComparisonRequest(
        start=start,
        end=min(end, clock.hour_of(now)),
        reported_since=_time(values, "reported_since") or (start if "start" not in values else None),
        not_before=_time(values, "not_before"),
        segment=segment,
        meter_id=values.get("meter_id"),
        after=values.get("after"),
    )


def _time(values: Mapping[str, Any], name: str) -> datetime | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        return clock.parse_time(text)
    except (TypeError, ValueError):
        raise RefusedError(f'{name} is {text!r}; it must be like "2026-11-23T08:00:00Z"') from None


def request_comparison(meter_id: str | None, reported_since: datetime | None) -> None:
    """Have the hours compared that were reported at that moment or later, (None) all that Stripe still corrects.

    Those of one Stripe meter, or (None) of all. The comparison begins once Stripe's summaries have what was reported
    by now.
    """
    if not reconciliation_queue_url():
        logger.warning(
            "RECONCILIATION_QUEUE_URL is empty: the comparison waits for the next scheduled one",
            extra={"stripe_meter_id": meter_id},
        )
        return
    now, request = clock.utc_now(), read_request({})
    since = reported_since or now - OLDEST_USAGE
    enqueue(replace(request, meter_id=meter_id, reported_since=min(request.start, since), not_before=now + SUMMARY_LAG))


def enqueue(request: ComparisonRequest) -> int:
    """Put a request on the queue, one message for each part of the organisations; return how many.

    Raises:
        UnavailableError: the queue did not take all of them. Those that it took are carried out all the same.
    """
    requests = (
        [request] if request.segment is not None else [replace(request, segment=part) for part in range(SEGMENTS)]
    )
    return send_messages(reconciliation_queue_url(), [each.as_message() for each in requests])
