"""A story of usage that arrives, told on DynamoDB Local, in which any call of the function can be made to fail.

SQS is played here: a message that was not done comes again, eleven minutes later and in other company, until it is.
Every call to DynamoDB and SQS is numbered, and a `Fault` says what becomes of one of them. Executors run inline, so
that the same faults always meet the same calls.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing import queues
from billing.clock import format_time, hour_of
from billing.ingestion import counting
from billing.ingestion.events import RejectedUsageError, UsageEvent, read_event
from billing.tables.usage_events import event_key
from programs.local.inline_executor import InlineExecutor
from tests.ingestion.arriving import READINGS, SENSORS, TEN, Ingestion, usage_event
from tests.support.calls import Call, Crash, Disturbance, hook
from tests.support.faults import CRASHES, FAILURES, Retried
from tests.support.queues import record

# A transaction of so few parts makes many of a small story.
PARTS = 5
MOST_DELIVERIES = 12
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RetriedBySdk:
    """AWS did it, the response was lost, and botocore asked again, with the same token."""

    def __call__(self, call: Call) -> Any:
        request = {**call.request, "ClientRequestToken": f"token-{id(call)}"}
        call.perform_with(request)
        return call.perform_with(request)


@dataclass(frozen=True, slots=True)
class Refused:
    """SQS takes all messages of a call but the first."""

    def __call__(self, call: Call) -> Any:
        first, *others = call.request["Entries"]
        failed = {"Failed": [{"Id": first["Id"], "Code": "InternalError", "SenderFault": False}]}
        return failed if not others else {**call.perform_with({**call.request, "Entries": others}), **failed}


@dataclass(frozen=True, slots=True)
class Overlapped:
    """Another function has the same messages, and is done with them before this call."""


Kind = Disturbance | Overlapped
TRANSACTION_FAULTS: Sequence[Kind] = (*CRASHES, *FAILURES, Retried(), RetriedBySdk(), Overlapped())
QUEUE_FAULTS: Sequence[Kind] = (*CRASHES, *FAILURES, Retried(), Refused(), Overlapped())


def kinds_for(call: str) -> Sequence[Kind]:
    """Return every fault that a call can meet."""
    return QUEUE_FAULTS if call.startswith("sqs") else TRANSACTION_FAULTS


Fault = tuple[int, Kind]


@dataclass
class Story:
    """The story, told anew each time with organisations and identities of its own."""

    ingestion: Ingestion
    told: int = 0
    calls: list[str] = field(default_factory=list)
    faults: dict[int, Kind] = field(default_factory=dict)
    disturbed: list[str] = field(default_factory=list)
    _batch: list[str] = field(default_factory=list)
    _is_overlapping: bool = False

    @property
    def acme(self) -> str:
        return f"acme-{self.told}"

    def event(self, event_id: str, value: Any, minute: float = 10, **more: Any) -> dict[str, Any]:
        at = more.pop("at", TEN + timedelta(minutes=minute))
        own: dict[str, Any] = {"at": at, "organization": self.acme, "source": f"story-{self.told}"}
        return usage_event(event_id, value, **{**own, **more})

    def script(self) -> list[list[Any]]:
        """Return the bodies of the messages, batch by batch, as SQS hands them out at first."""
        first = [
            self.event("a1", 5),
            [self.event("a2", 7), self.event("a3", 11, 59), self.event("g2", 7, 20, meter=SENSORS)],
            self.event("a1", 5),
            self.event("half", 1.5),
            self.event("c", 100),
            self.event("late", 13, at=TEN - WEEK),
        ]
        second = [
            [self.event("a1", 5), self.event("g1", 3, 5, meter=SENSORS), self.event("g3", 9, 40, meter=SENSORS)],
            [self.event("c", 200), self.event("none", 0), self.event("a4", 17), self.event("a4", 17)],
            self.event("b1", 19, organization=f"globex-{self.told}"),
            [self.event(f"n{number}", 1, at=TEN - timedelta(hours=1)) for number in range(6)],
            self.event("x", 23, organization=f"damaged-{self.told}"),
            self.event("y", 4, organization=f"damaged-{self.told}", meter=SENSORS),
            "no JSON",
        ]
        return [first, second, [*first, self.event("g0", 1, 1, meter=SENSORS)]]

    def tell(self, faults: Sequence[Fault] = ()) -> list[str]:
        """Tell the whole story with these faults; return in what its end differs from what it has to be."""
        self.told += 1
        self.calls, self.disturbed, self.faults = [], [], dict(faults)
        self.ingestion.now = TEN + timedelta(hours=2, minutes=5)
        self.ingestion.dead_letters.bodies.clear()
        key = {"organization_id": {"S": f"damaged-{self.told}"}, "window_start": {"S": format_time(TEN)}}
        damaged = {**key, READINGS: {"S": "many"}}
        self.ingestion.dynamodb.put_item(TableName="UsageTable", Item=damaged)
        batches = self.script()
        waiting: list[str] = []
        for batch in batches:
            waiting += self._delivered([json.dumps(body) if not isinstance(body, str) else body for body in batch])
        for _ in range(MOST_DELIVERIES):
            if not waiting:
                break
            self.ingestion.advance(minutes=11)
            waiting = self._delivered(waiting[::-1])
        values = [
            value for batch in batches for body in batch for value in (body if isinstance(body, list) else [body])
        ]
        return [*(["messages that are never done"] if waiting else []), *self._differences(values)]

    def _delivered(self, bodies: list[str]) -> list[str]:
        """Hand messages to the function, in a process that may die; return those that come again."""
        self._batch = bodies
        event = {"Records": [record(str(number), body) for number, body in enumerate(bodies)]}
        try:
            return [bodies[int(number)] for number in self.ingestion.handle(event)]
        except Crash:
            return bodies

    # --- what came of it

    def _differences(self, values: Sequence[Any]) -> list[str]:
        """Return what differs: each event is counted once or has a dead letter, and hours are the sums of these."""
        events, rejected = self._sorted(values)
        counted = self._counted(events)
        differences = [f"never counted: {key}" for key in events.keys() - counted.keys()]
        letters = [self._short(letter["event"]) for letter in self.ingestion.dead_letters.letters]
        differences += [f"no dead letter: {each}" for each in rejected - set(letters)]
        differences += [f"a dead letter of what counts: {each}" for each in set(letters) - rejected]
        hours = {(event.organization_id, event.window_start) for event in counted.values()}
        for organization_id, window_start in sorted(hours):
            own = [
                each
                for each in counted.values()
                if (each.organization_id, each.window_start) == (organization_id, window_start)
            ]
            expected = reference(own)
            item = self.ingestion.hour(organization_id, datetime.fromisoformat(window_start))
            stored = {name: item.get(name, {}).get("N") for name in expected}
            if stored != expected or "due_at" not in item:
                differences.append(f"{organization_id} {window_start}: {stored}, not {expected}")
        return differences

    def _sorted(self, values: Sequence[Any]) -> tuple[dict[str, list[UsageEvent]], set[str]]:
        """Return the events that have to count, by identity, and those that have to be rejected."""
        events: dict[str, list[UsageEvent]] = {}
        rejected: set[str] = set()
        for value in values:
            try:
                event = read_event(value, self.ingestion.now)
            except RejectedUsageError:
                rejected.add(self._short(value))
                continue
            if event.organization_id.startswith("damaged") and event.meter.event_name == READINGS:
                rejected.add(self._short(value))
            else:
                events.setdefault(event_key(event.source, event.id), []).append(event)
        return events, rejected

    def _short(self, value: Any) -> str:
        return value["id"] if isinstance(value, dict) else str(value)

    def _counted(self, events: Mapping[str, list[UsageEvent]]) -> dict[str, UsageEvent]:
        """Return the event that each identity stands for in the table: one of those that came under it."""
        keys: Any = {"Keys": [{"event_key": {"S": key}} for key in events], "ConsistentRead": True}
        items = self.ingestion.dynamodb.batch_get_item(RequestItems={"UsageEventsTable": keys})["Responses"]
        return {
            item["event_key"]["S"]: next(
                event for event in events[item["event_key"]["S"]] if event.content == item["content"]["S"]
            )
            for item in items["UsageEventsTable"]
        }

    # --- the calls

    @contextmanager
    def instrumented(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
        """Number every call of the function, and run its executors inline."""
        with monkeypatch.context() as patched:
            patched.setattr(counting, "ThreadPoolExecutor", InlineExecutor)
            patched.setattr(queues, "ThreadPoolExecutor", InlineExecutor)
            patched.setattr(counting, "MOST_PARTS", PARTS)
            patched.setattr(counting, "pause", lambda attempt: None)
            with hook(patched).watched(self._disturbed):
                yield self

    def _disturbed(self, _: int, call: Call) -> Disturbance | None:
        if self._is_overlapping or call.operation not in ("TransactWriteItems", "SendMessageBatch"):
            return None
        self.calls.append(call.name)
        kind = self.faults.pop(len(self.calls), None)
        if kind is None:
            return None
        self.disturbed.append(call.name)
        if isinstance(kind, Overlapped):
            self._is_overlapping, batch = True, self._batch
            try:
                assert self._delivered(batch) == []
            finally:
                self._is_overlapping, self._batch = False, batch
            return None
        return kind


def reference(events: Sequence[UsageEvent]) -> dict[str, str]:
    """Return what an hour has to have of these events."""
    sums: Counter[str] = Counter()
    numbers: dict[str, UsageEvent] = {}
    for event in events:
        name = event.meter.event_name
        assert hour_of(event.time) == hour_of(events[0].time)
        if event.meter.formula == "sum":
            sums[name] += event.value
        elif name not in numbers or event.time >= numbers[name].time:
            numbers[name] = event
    return {name: str(number) for name, number in [*sums.items(), *((n, e.value) for n, e in numbers.items())]}


def each_case(calls: Sequence[str], kinds: Callable[[str], Sequence[Kind]] = kinds_for) -> list[Fault]:
    """Return a fault for each call of the story and each way in which it can fail."""
    return [(number, kind) for number, call in enumerate(calls, start=1) for kind in kinds(call)]
