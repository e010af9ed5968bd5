"""The dead letter of a usage event that is not counted as it is: what `UsageDeadLetterQueue` has of it. Pure.

    {"code": "too_old", "reason": "…", "rejected_at": "2026-11-23T08:10:00Z", "event": <the event as it came>}

A message that SQS itself moved there, because no invocation finished it, is as its sender wrote it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.clock import format_time

FIELDS = frozenset({"code", "reason", "rejected_at", "event"})


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """A usage event that was not counted: the `event` as it came, a text where it was no JSON; the `code` says why."""

    code: str
    reason: str
    rejected_at: str
    event: Any


def rejected(code: str, reason: str, event: Any, now: datetime) -> RejectedEvent:
    """Return an event that is rejected now."""
    return RejectedEvent(code, reason, format_time(now), event)


def write_rejected(event: RejectedEvent) -> str:
    """Return a dead letter's body; whatever the event is, it is JSON in ASCII."""
    values = {"code": event.code, "reason": event.reason, "rejected_at": event.rejected_at}
    try:
        return json.dumps({**values, "event": event.event}, separators=(",", ":"), allow_nan=False)
    except ValueError:
        # Python reads numbers that JSON has no word for: 1e400, NaN.
        return json.dumps({**values, "event": json.dumps(event.event, separators=(",", ":"))}, separators=(",", ":"))


def read_rejected(body: str) -> RejectedEvent | None:
    """Return the event that a dead letter holds; None where it is a message as its sender wrote it."""
    try:
        return as_rejected(json.loads(body))
    except (ValueError, RecursionError):
        return None


def as_rejected(value: object) -> RejectedEvent | None:
    """Return the event that a JSON value of a dead letter holds; None where the value is none."""
    if not isinstance(value, dict) or value.keys() != FIELDS:
        return None
    return RejectedEvent(str(value["code"]), str(value["reason"]), str(value["rejected_at"]), value["event"])
