"""When to stop taking new work: before AWS Lambda ends the function in the middle of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# What the work under way may still need: a unit of events with its retries.
RESERVE_MS = 60_000


def may_continue(context: Any) -> Callable[[], bool]:
    """Return a question: is there time for more work? Without a Lambda context there always is.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    if remaining_ms is None:
        return lambda: True
    reserve_ms = min(RESERVE_MS, remaining_ms() / 2)
    return lambda: bool(remaining_ms() > reserve_ms)
