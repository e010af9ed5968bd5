"""A batch of the queue's messages as a function's invocation: within its time limit, with its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from billing import clock
from billing.errors import RefusedError
from billing.ingestion.counting import count_each
from billing.ingestion.events import RejectedUsageError, UsageEvent
from billing.ingestion.messages import Arrival, read_message
from billing.ingestion.rejected import rejected, write_rejected
from billing.ingestion.transaction import REFUSED_BY_THE_HOUR, Outcome
from billing.queues import not_taken
from billing.settings import usage_dead_letter_queue_url
from billing.tables.usage_events import event_key
from billing.telemetry import count, logger

# In one line of the log.
MOST_LOGGED = 10

# What became of an arrival: None where it is to come again.
Result = Outcome | RejectedUsageError | None


def process_messages(event: Any, may_continue: Callable[[], bool]) -> dict[str, Any]:
    """Count the usage events of a batch of messages; return which messages are to come again.

    As AWS Lambda takes it from a function with `ReportBatchItemFailures`. An event that will never be counted as it is
    goes to the dead-letter queue, and its message is done.
    """
    now = clock.utc_now()
    arrivals = [
        arrival for record in event["Records"] for arrival in read_message(record["messageId"], record["body"], now)
    ]
    outcomes = iter(count_each([each.event for each in arrivals if isinstance(each.event, UsageEvent)], may_continue))
    results = [_result(next(outcomes)) if isinstance(each.event, UsageEvent) else each.event for each in arrivals]
    left = [arrival.message_id for arrival, result in zip(arrivals, results, strict=True) if result is None]
    left += _send_rejected(arrivals, results, now)
    _tell(arrivals, results)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in dict.fromkeys(left)]}


def _result(outcome: Outcome | None) -> Result:
    if outcome == "hour_damaged" or outcome == "hour_full":
        return RejectedUsageError(outcome, REFUSED_BY_THE_HOUR[outcome])
    return outcome


def _send_rejected(arrivals: Sequence[Arrival], results: Sequence[Result], now: datetime) -> list[str]:
    """Put what was rejected on the dead-letter queue; return the ids of the messages whose events it did not take."""
    refusals = [
        (arrival, result)
        for arrival, result in zip(arrivals, results, strict=True)
        if isinstance(result, RejectedUsageError)
    ]
    if not refusals:
        return []
    letters = [
        {"MessageBody": write_rejected(rejected(error.code, str(error), arrival.value, now))}
        for arrival, error in refusals
    ]
    untaken = not_taken(usage_dead_letter_queue_url(), letters)
    if untaken:
        codes = sorted(set(untaken.values()))
        logger.error("The dead-letter queue did not take all events", extra={"events": len(untaken), "codes": codes})
    return [refusals[position][0].message_id for position in untaken]


def _tell(arrivals: Sequence[Arrival], results: Sequence[Result]) -> None:
    reasons = Counter(result.code for result in results if isinstance(result, RejectedUsageError))
    outcomes = Counter(result or "left" for result in results if not isinstance(result, RefusedError))
    for outcome, number in outcomes.items():
        count("usage_events", number, outcome)
    for reason, number in reasons.items():
        count("usage_rejected", number, reason)
    conflicting = [
        event_key(arrival.event.source, arrival.event.id)
        for arrival, result in zip(arrivals, results, strict=True)
        if result == "conflicting" and isinstance(arrival.event, UsageEvent)
    ]
    if conflicting:
        # Not counted, and not told again: its message is done.
        logger.warning("Usage events have the identity of others", extra={"event_keys": conflicting[:MOST_LOGGED]})
    logger.info("Usage arrived", extra={"outcomes": dict(outcomes), "rejected": dict(reasons)})
