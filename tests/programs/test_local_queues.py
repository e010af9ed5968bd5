"""The usage queue of `make local`: what is sent there is counted, or listed as rejected."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from billing import Usage, UsageEvents
from operations import connection
from operations.dead_letters import DeadLetterQueue
from programs.local.queues import consuming, running_queues
from programs.local.stack import Stack


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def test_what_is_sent_is_counted_and_what_cannot_be_is_a_dead_letter(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 1

    def ingest(bodies: Sequence[str]) -> Sequence[str]:
        nonlocal failures
        if failures:
            failures -= 1
            return bodies
        return stack.ingest(bodies)

    connection.aws_client.cache_clear()
    monkeypatch.setattr("programs.local.queues.HIDDEN_SECONDS", 1)
    with running_queues() as queues, consuming(queues, ingest):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", queues.endpoint)
        monkeypatch.setenv("USAGE_QUEUE_URL", queues.usage_url)
        monkeypatch.setenv("USAGE_DEAD_LETTER_QUEUE_URL", queues.dead_letter_url)
        taken = datetime(2026, 11, 23, 7, 10, tzinfo=UTC)
        UsageEvents(queues.usage_url, source="me").send(
            [Usage("acme", "temperature_readings", 12, taken), Usage("acme", "active_sensors", 3, taken)]
        )
        queues.client().send_message(QueueUrl=queues.usage_url, MessageBody=json.dumps({"specversion": "1.0"}))

        assert eventually(lambda: stack.due_hours() != [])
        assert eventually(lambda: DeadLetterQueue().size == 1)
    hour = stack.usage("acme", "2026-11-23T07:00:00Z")
    assert (hour.temperature_readings, hour.active_sensors) == (12, 3)
    connection.aws_client.cache_clear()
