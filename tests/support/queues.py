"""Messages of SQS as Lambda hands them to a function."""

from __future__ import annotations

from typing import Any


def record(message_id: str, body: str) -> dict[str, Any]:
    """Return one record of an event."""
    return {
        "messageId": message_id,
        "receiptHandle": "receipt",
        "body": body,
        "attributes": {"MessageGroupId": "group"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:UsageMeteringQueue.fifo",
        "awsRegion": "eu-central-1",
    }
