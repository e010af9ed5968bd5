"""Usage, sent to the queue that `UsageIngestionFunction` counts from: for the code that knows of it, wherever it runs.

    from billing import Usage, UsageEvents

    usage_events = UsageEvents(queue_url, source="gateways/eu-1")
    usage_events.send(Usage("acme", "temperature_readings", 12, taken_at))

It needs `sqs:SendMessage` on the queue, and neither the tables nor Stripe. **A `Usage` is counted once, however often
it is sent**: its identity, `source` and `id`, is remembered for 40 days. So whoever tries again, after an error or a
crash, has to send the *same* `Usage`: the object itself or, where the process may have ended, one with the same `id`,
stored before the first attempt, or made of what it stands for (the id of a message, a device and the number of its
report). An `id` that was made anew is other usage, and is counted again.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from billing import clock
from billing.errors import InvalidUsageError, UsageNotSentError
from billing.ingestion.events import RejectedUsageError, read_event
from billing.ingestion.messages import LARGEST_LIST
from billing.queues import not_taken

# Of a message: every queue takes that, unless its `MaximumMessageSize` was set lower.
LARGEST_BYTES = 256 * 1024
# Beside the SDK's own of a call that fails as a whole.
ATTEMPTS, FIRST_BACKOFF_SECONDS = 3, 0.2
# What an error names of many.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Usage:
    """What an organisation used, as it is sent: an increment of a `sum` meter, or the number of a `last` meter.

    `meter` is the meter's event name; `time` is when it was used, with its zone, and decides the hour that counts it;
    `id` is the caller's own, or made here, once: the same `Usage` sent again is counted once.
    """

    organization_id: str
    meter: str
    value: int
    time: datetime
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __str__(self) -> str:
        return f"{self.organization_id} {self.meter} {self.value} at {self.time} (id {self.id})"


@dataclass(frozen=True, slots=True)
class _Message:
    body: str
    usages: Sequence[Usage]


class UsageEvents:
    """The way in for usage, as CloudEvents on a queue; one for a process, safe for its threads.

    `source` names the producer. Together with a `Usage`'s id it is the identity: everything that may send the same
    usage (all processes of one service, say) has the same `source`, and producers whose ids may meet have different
    ones.
    """

    def __init__(self, queue_url: str, *, source: str) -> None:
        self.queue_url, self.source = queue_url, source

    def send(self, usage: Usage | Iterable[Usage]) -> None:
        """Send usage, one or many: checked before anything is sent, a hundred to a message, ten messages to a call.

        What SQS does not take is tried again, for a minute at most.

        Raises:
            InvalidUsageError: one of them can never be counted; the message says which and why. Nothing was sent.
            UsageNotSentError: SQS did not take all of them; `unsent` has those. Send these, or all, again later: what
                was taken is counted once.
        """
        usages = [usage] if isinstance(usage, Usage) else list(usage)
        waiting = list(_messages(list(zip(self._checked(usages), usages, strict=True))))
        codes: dict[int, str] = {}
        for attempt in range(ATTEMPTS):
            if attempt:
                self.back_off(attempt)
            codes = not_taken(self.queue_url, [{"MessageBody": message.body} for message in waiting])
            waiting = [waiting[position] for position in sorted(codes)]
            if not waiting:
                return
        reason = ", ".join(sorted(set(codes.values())))
        raise _not_sent([usage for message in waiting for usage in message.usages], len(usages), reason)

    def _checked(self, usages: Iterable[Usage]) -> list[dict[str, Any]]:
        """Return the CloudEvents of usage, as the function on the other side will read them."""
        events, wrong, now = [], [], clock.utc_now()
        for usage in usages:
            try:
                events.append(cloud_event(usage, self.source, now))
            except InvalidUsageError as error:
                wrong.append(f"{usage}: {error}")
        if wrong:
            more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
            raise InvalidUsageError(f"Nothing was sent. {'; '.join(wrong[:NAMED])}{more}")
        return events

    @staticmethod
    def back_off(attempt: int) -> None:
        """Sleep before the next attempt: a random part of a time that triples with every attempt."""
        longest = FIRST_BACKOFF_SECONDS * 3**attempt
        time.sleep(random.uniform(longest / 2, longest))  # noqa: S311  # jitter needs no secrecy


def cloud_event(usage: Usage, source: str, now: datetime) -> dict[str, Any]:
    """Return a usage's CloudEvent.

    Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md

    Raises:
        InvalidUsageError: it would be rejected; the message is the reason.
    """
    if not isinstance(usage.time, datetime):
        raise InvalidUsageError(f"The time {usage.time!r} is no datetime")
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": usage.id,
        "source": source,
        "type": usage.meter,
        "subject": usage.organization_id,
        "time": _written(usage.time),
        "data": {"value": usage.value},
    }
    try:
        # A number like 12.0 is sent as the whole number that it was read as.
        event["data"] = {"value": read_event(event, now).value}
    except RejectedUsageError as error:
        raise InvalidUsageError(str(error)) from error
    if len(_body(event)) > LARGEST_BYTES:
        raise InvalidUsageError(f"It is longer than the {LARGEST_BYTES} bytes of a message")
    return event


def _body(event: Mapping[str, Any]) -> str:
    # ASCII, so that a character is a byte, and none is one that SQS does not take.
    return json.dumps(event, separators=(",", ":"))


def _written(moment: datetime) -> str:
    """Return a moment as RFC 3339 has it; one without a zone stays without, and is refused for that."""
    if moment.tzinfo is None:
        return moment.isoformat()
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def _messages(events: Sequence[tuple[dict[str, Any], Usage]]) -> Iterator[_Message]:
    """Yield messages with as many events as one may have; one event alone is no list."""
    bodies, usages, size = list[str](), list[Usage](), 0
    for event, usage in events:
        body = _body(event)
        if bodies and (len(bodies) == LARGEST_LIST or size + len(body) + 2 > LARGEST_BYTES):
            yield _message(bodies, usages)
            bodies, usages, size = [], [], 0
        bodies.append(body)
        usages.append(usage)
        size += len(body) + 1
    if bodies:
        yield _message(bodies, usages)


def _message(bodies: Sequence[str], usages: Sequence[Usage]) -> _Message:
    return _Message(bodies[0] if len(bodies) == 1 else f"[{','.join(bodies)}]", usages)


def _not_sent(unsent: Sequence[Usage], number: int, reason: str) -> UsageNotSentError:
    named = "; ".join(map(str, unsent[:NAMED])) + (f"; and {len(unsent) - NAMED} more" if len(unsent) > NAMED else "")
    return UsageNotSentError(
        f"{len(unsent)} of {number} were not sent ({reason}): {named}. "
        "Send the same Usage again: what was taken is counted once",
        unsent,
    )
