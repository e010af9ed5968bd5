"""The usage queue and its dead letters, at moto."""

from __future__ import annotations

import json
from typing import Any

import boto3

from billing.ingestion.rejected import RejectedEvent, write_rejected


class Queues:
    """The usage queue and its dead-letter queue, at moto."""

    def __init__(self) -> None:
        self.client = boto3.client("sqs")
        self.usage, self.dead = (self.client.create_queue(QueueName=name)["QueueUrl"] for name in ("usage", "dead"))

    def reject(self, code: str, event: Any, reason: str = "No.") -> str:
        body = write_rejected(RejectedEvent(code, reason, "2026-11-23T08:00:00Z", event))
        return self.move(body)

    def move(self, body: str) -> str:
        """Put a message on the dead-letter queue as SQS itself does."""
        return self.client.send_message(QueueUrl=self.dead, MessageBody=body)["MessageId"]

    def visible(self, url: str) -> list[Any]:
        """Return what a consumer would get now, and leave it there."""
        found: dict[str, str] = {}
        receipts = []
        while messages := self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found[message["MessageId"]] = message["Body"]
                receipts.append(message["ReceiptHandle"])
        for receipt in receipts:
            self.client.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return [json.loads(body) for body in found.values()]

    @property
    def ids_of_usage(self) -> list[str]:
        """Return the ids of the events that wait to be counted."""
        return sorted(event["id"] for body in self.visible(self.usage) for event in _listed(body))

    @property
    def ids_of_dead(self) -> list[str]:
        """Return the ids of the events that are rejected, or that SQS moved."""
        contents = [body["event"] if "code" in body else body for body in self.visible(self.dead)]
        return sorted(event["id"] for content in contents for event in _listed(content))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def event(event_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "gateways",
        "type": "temperature_readings",
        "subject": "acme",
        "time": "2026-11-23T07:10:00Z",
        "data": {"value": 12},
        **fields,
    }
