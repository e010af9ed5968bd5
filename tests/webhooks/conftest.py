"""What the tests of the webhook share: an organisation that subscribed, and the calls a delivery makes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from billing import queues
from billing.telemetry import logger
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES
from programs.local.stack import SNAPSHOT_SECRET, THIN_SECRET, Stack
from stripe_simulator import Delivery
from tests.support.calls import Calls, hook

API_KEY = "sk_test_simulator"

Take = Callable[..., list[Delivery]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Watch every call of a delivery."""
    return hook(monkeypatch)


@pytest.fixture
def take(stack: Stack) -> Take:
    """Take the waiting deliveries of the types that change something: `take(payload)`, both kinds unless given."""

    def taken(payload: str | None = None) -> list[Delivery]:
        handled = (*SNAPSHOT_EVENT_TYPES, *THIN_EVENT_TYPES)
        return [
            delivery
            for delivery in stack.simulator.webhooks.take()
            if delivery.event_type in handled and payload in (None, delivery.payload)
        ]

    return taken


@pytest.fixture
def acme(stack: Stack) -> str:
    """Subscribe an organisation; return its subscription's id."""
    _, subscription_id = stack.subscribe("acme")
    stack.deliver_all()
    stack.advance(minutes=5)
    return subscription_id


class Output:
    """Hold everything the functions wrote: the log, the metrics, and whatever any library logged or printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.log = io.StringIO()
        self._capsys = capsys
        self._printed = ""

    @property
    def text(self) -> str:
        printed = self._capsys.readouterr()
        self._printed += printed.out + printed.err
        return self.log.getvalue() + self._printed

    def _json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    def lines(self) -> list[dict[str, Any]]:
        """Return the log's lines."""
        return [line for line in self._json() if "_aws" not in line]

    def events(self) -> list[dict[str, Any]]:
        """Return the one line an event that the handler writes."""
        return [line for line in self.lines() if line["message"] == "Stripe event"]

    def metrics(self) -> list[dict[str, Any]]:
        """Return the metrics in CloudWatch's embedded format."""
        return [line for line in self._json() if "_aws" in line]

    def assert_tells_nothing(self, *more: str) -> None:
        """Assert that no secret and no trace of the code was written."""
        for secret in (API_KEY, SNAPSHOT_SECRET, THIN_SECRET, "Traceback", *more):
            assert secret not in self.text

    def clear(self) -> None:
        self._capsys.readouterr()
        self._printed = ""
        self.log.seek(0)
        self.log.truncate()


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    """Catch what is written to standard output and error, and to any logger."""
    caught = Output(capsys)
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(caught.log)
    others = logging.StreamHandler(caught.log)
    logging.getLogger().addHandler(others)
    try:
        yield caught
    finally:
        logging.getLogger().removeHandler(others)
        if before is not None:
            handler.setStream(before)


class Queue:
    """Take the place of SQS."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.messages: list[dict[str, Any]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        def send(_: Any) -> dict[str, Any]:
            self.messages += [json.loads(entry["MessageBody"]) for entry in Entries]
            return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

        response: dict[str, Any] = self.calls.make("sqs:SendMessageBatch", send)
        return response


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> Queue:
    taken = Queue(calls)
    monkeypatch.setenv("RECONCILIATION_QUEUE_URL", "https://sqs.test/comparisons")
    monkeypatch.setattr(queues, "sqs_client", lambda: taken)
    return taken
