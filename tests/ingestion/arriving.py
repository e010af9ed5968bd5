"""Usage events that arrive: the queue's messages handed to the function, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from billing import clock
from billing.clock import format_time
from functions.usage_ingestion import app
from programs.local.stack import TimeLimit
from tests.support.queues import record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

NOW = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
READINGS, SENSORS = "temperature_readings", "active_sensors"
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
ENTRIES_A_CALL, BYTES_A_CALL = 10, 1_048_576


def usage_event(
    event_id: str = "1",
    value: Any = 5,
    *,
    meter: str = READINGS,
    organization: str = "acme",
    at: datetime = TEN + timedelta(minutes=10),
    source: str = "gateway/7",
    **more: Any,
) -> dict[str, Any]:
    """Return a usage event as its sender writes it."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": meter,
        "subject": organization,
        "time": at.isoformat(),
        "data": {"value": value},
        **more,
    }


def batch(*bodies: Any) -> dict[str, Any]:
    """Return messages as Lambda hands them over; a body that is no text is written as JSON."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {"Records": [record(f"m{number}", text) for number, text in enumerate(texts)]}


@dataclass
class DeadLetterQueue:
    """SQS in memory, which takes what SQS takes. What is in `down` is the code with which it refuses everything."""

    bodies: list[str] = field(default_factory=list)
    down: str = ""

    def send(self, request: Mapping[str, Any]) -> dict[str, Any]:
        entries = request["Entries"]
        assert 1 <= len(entries) <= ENTRIES_A_CALL
        assert sum(len(entry["MessageBody"].encode()) for entry in entries) <= BYTES_A_CALL
        assert all(entry["MessageBody"].isascii() and min(entry["MessageBody"]) >= " " for entry in entries)
        if self.down:
            return {"Failed": [{"Id": entry["Id"], "Code": self.down, "SenderFault": False} for entry in entries]}
        self.bodies += [entry["MessageBody"] for entry in entries]
        return {"Successful": [{"Id": entry["Id"], "MessageId": "1"} for entry in entries]}

    @property
    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    @property
    def codes(self) -> list[str]:
        return [letter["code"] for letter in self.letters]

    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in the place of SQS, below whatever watches the calls."""
        real_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]

        def make_api_call(client: Any, operation: str, parameters: Any) -> Any:
            if client.meta.service_model.service_name == "sqs":
                assert operation == "SendMessageBatch"
                return self.send(parameters)
            return real_api_call(client, operation, parameters)

        monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)
        monkeypatch.setenv("USAGE_DEAD_LETTER_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/1/UsageDeadLetters")


@dataclass
class Ingestion:
    """The function with what it reads and writes, at a moment that a test moves."""

    dynamodb: DynamoDBClient
    dead_letters: DeadLetterQueue
    now: datetime = NOW

    def arrive(self, *bodies: Any, remaining_ms: int = 60_000) -> list[str]:
        """Let messages arrive in one batch; return those that are to come again: `m0` for the first."""
        return self.handle(batch(*bodies), remaining_ms)

    def handle(self, event: dict[str, Any], remaining_ms: int = 60_000) -> list[str]:
        response = app.handler(event, TimeLimit(remaining_ms))
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]

    def hour(self, organization: str = "acme", start: datetime = TEN) -> dict[str, Any]:
        """Return an hour's item as it is stored; empty where there is none."""
        key: Any = {"organization_id": {"S": organization}, "window_start": {"S": format_time(start)}}
        return dict(self.dynamodb.get_item(TableName="UsageTable", Key=key, ConsistentRead=True).get("Item", {}))

    def counted(self, organization: str = "acme", start: datetime = TEN, meter: str = READINGS) -> int | None:
        """Return what an hour has of a meter."""
        item = self.hour(organization, start)
        return int(item[meter]["N"]) if meter in item else None

    def identities(self) -> Sequence[Mapping[str, Any]]:
        """Return the identities as they are stored."""
        return self.dynamodb.scan(TableName="UsageEventsTable", ConsistentRead=True)["Items"]

    def advance(self, **duration: float) -> None:
        """Let time pass."""
        self.now += timedelta(**duration)


def ingesting(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Ingestion:
    """Return the function with empty tables and an empty dead-letter queue."""
    dead_letters = DeadLetterQueue()
    dead_letters.installed(monkeypatch)
    ingestion = Ingestion(dynamodb, dead_letters)
    monkeypatch.setattr(clock, "utc_now", lambda: ingestion.now)
    return ingestion
