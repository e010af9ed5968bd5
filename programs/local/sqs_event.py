"""Messages of an SQS queue as Lambda hands them to a function.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-tutorial.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def sqs_event(bodies: Sequence[str], queue: str = "UsageQueue") -> dict[str, Any]:
    """Return the event of messages; their ids are their positions."""
    return {
        "Records": [
            {
                "messageId": str(position),
                "receiptHandle": "receipt",
                "body": body,
                "attributes": {},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:eu-central-1:123456789012:{queue}",
                "awsRegion": "eu-central-1",
            }
            for position, body in enumerate(bodies)
        ]
    }
