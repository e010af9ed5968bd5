"""The queue on which the demo's usage arrives: some of it twice, late, in another order, to a function that dies."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from billing.ingestion import counting
from billing.tables.usage_events import UsageEventRecord
from programs.local.stack import Stack

EVENTS_A_MESSAGE = 20
MESSAGES_AT_ONCE = 10
# Of the messages: some come with the next ones, some twice. Of the batches: in some the function is killed.
LATE, TWICE, KILLED = 0.2, 0.25, 0.2


class Killed(BaseException):
    """The end of the function in the middle, as Lambda's time-out ends it."""


def usage_event(organization_id: str, meter: str, value: int, time: datetime, event_id: str) -> dict[str, Any]:
    """Return usage as a gateway sends it."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": f"gateway/{organization_id}",
        "type": meter,
        "subject": organization_id,
        "time": time.isoformat(),
        "data": {"value": value},
    }


class UsageQueue:
    """A queue in memory, before the real function.

    `sent` is how many events were sent, `delivered` how often one of them was handed to the function, `killed` how
    often the function died over them.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack, self.sent, self.delivered, self.killed = stack, 0, 0, 0
        self._chance = random.Random(11)
        self._sent: list[str] = []
        self._late: list[str] = []
        self._history: list[str] = []

    def send(self, events: Sequence[dict[str, Any]]) -> None:
        """Put events on the queue."""
        self.sent += len(events)
        for start in range(0, len(events), EVENTS_A_MESSAGE):
            self._sent.append(json.dumps(events[start : start + EVENTS_A_MESSAGE]))

    def deliver(self, *, all_of_it: bool = False) -> None:
        """Let the function have what waits, or most of it: what is late comes with what is sent next."""
        now, self._late, sent, self._sent = self._late, [], self._sent, []
        for body in sent:
            (self._late if not all_of_it and self._chance.random() < LATE else now).append(body)
        self._history += now
        now += [body for body in now if self._chance.random() < TWICE]
        self._chance.shuffle(now)
        for start in range(0, len(now), MESSAGES_AT_ONCE):
            self._hand_over(now[start : start + MESSAGES_AT_ONCE])

    def deliver_again(self) -> int:
        """Let everything that was ever delivered come again, as when a queue is redriven; return how many messages."""
        history, self._history = self._history, []
        for start in range(0, len(history), MESSAGES_AT_ONCE):
            self._hand_over(history[start : start + MESSAGES_AT_ONCE])
        return len(history)

    def _hand_over(self, bodies: Sequence[str]) -> None:
        while bodies:
            self.delivered += sum(len(json.loads(body)) for body in bodies)
            try:
                with self._killed_at_times():
                    bodies = self.stack.ingest(bodies)
            except Killed:
                self.killed += 1

    @contextmanager
    def _killed_at_times(self) -> Iterator[None]:
        """Kill the function behind one of its writes, in some of its invocations."""
        of_counting = vars(counting)
        real = of_counting["client"]
        if self._chance.random() < KILLED:
            of_counting["client"] = lambda: _Killing(real())
        try:
            yield
        finally:
            of_counting["client"] = real

    @property
    def counted(self) -> int:
        """Return how many events have an identity, and so are counted."""
        return UsageEventRecord.count()


class _Killing:
    """A client of DynamoDB's that writes once, after which nobody is there who would hear of it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def transact_write_items(self, **request: Any) -> None:
        self._client.transact_write_items(**request)
        raise Killed
