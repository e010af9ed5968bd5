"""SQS: messages by which one invocation gives work to others of this stack's functions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from billing.batches import batches
from billing.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
MESSAGES_A_CALL = 10


@cache
def sqs_client() -> SQSClient:
    """Return the process's only SQS client, made on first use."""
    # Imported here: most invocations need no queue, and all of them would wait for the import.
    import boto3

    return boto3.client("sqs")


def send_messages(queue_url: str, messages: Sequence[dict[str, Any]]) -> int:
    """Put messages on a queue and return how many; each holds `MessageBody`, and for a FIFO queue its group and more.

    Raises:
        UnavailableError: the queue did not take all of them. Those that it took are processed all the same.
    """
    entries: list[Any] = [{"Id": str(number), **message} for number, message in enumerate(messages)]
    failed: list[Any] = []
    for batch in batches(entries, MESSAGES_A_CALL):
        response = sqs_client().send_message_batch(QueueUrl=queue_url, Entries=batch)
        failed += response.get("Failed", [])
    if failed:
        raise UnavailableError(f"SQS did not take {len(failed)} of {len(entries)} messages: {failed[0].get('Code')}")
    return len(entries)
