"""Batch of queue messages in, messages that are to come again out: usage events to the hours in which they count."""

from __future__ import annotations

from typing import Any

from billing import telemetry
from billing.ingestion.invocation import process_messages
from billing.time_limit import may_continue


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Count the usage events of a batch of messages, each once; what is not begun in time comes again."""
    try:
        return process_messages(event, may_continue(context))
    finally:
        telemetry.flush()
