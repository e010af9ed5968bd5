"""What the tests of events share: a bus that notes everything, and the tables' streams, read as Lambda reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from billing.billing_events import bus as bus_module
from programs.local.stack import Stack, TimeLimit
from programs.local.streams import StreamPump
from tests.support.calls import Crash
from tests.support.event_bus import TestBus

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> TestBus:
    """Give the bus on which the product hears."""
    made = TestBus()
    monkeypatch.setattr(bus_module, "events_client", lambda: made)
    monkeypatch.setenv("STACK_NAME", "sensor-billing-test")
    return made


@pytest.fixture
def pump(stack: Stack, dynamodb: DynamoDBClient, bus: TestBus) -> Iterator[StreamPump]:
    """Give the streams, from now on."""

    def handle(event: dict[str, Any]) -> Any:
        try:
            return stack.events_app.handler(event, TimeLimit(60_000))
        except Crash as crash:
            # To Lambda it is a function's error like any other.
            raise RuntimeError("the function died") from crash

    with closing(StreamPump(dynamodb, handle)) as made:
        made.begin()
        yield made
