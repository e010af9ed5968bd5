"""SQS: messages by which one invocation gives work to others of this stack's functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from billing.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
MESSAGES_A_CALL = 10
BYTES_A_CALL = 1_048_576
CALLS_AT_ONCE = 8


@cache
def sqs_client() -> SQSClient:
    """Return the process's only SQS client, made on first use."""
    # Imported here: most invocations need no queue, and all of them would wait for the import.
    import boto3

    # Botocore's own minute, five times, would outlive the functions' time limits.
    return boto3.client("sqs", config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 4}))


def send_messages(queue_url: str, messages: Sequence[dict[str, Any]]) -> int:
    """Put messages on a queue and return how many; each holds `MessageBody`, and for a FIFO queue its group and more.

    Raises:
        UnavailableError: the queue did not take all of them. Those that it took are processed all the same.
    """
    failed = not_taken(queue_url, messages)
    if failed:
        code = next(iter(failed.values()))
        raise UnavailableError(f"SQS did not take {len(failed)} of {len(messages)} messages: {code}")
    return len(messages)


def not_taken(queue_url: str, messages: Sequence[dict[str, Any]]) -> dict[int, str]:
    """Put messages on a queue; return the positions of those that it did not take, each with the reason's code.

    What it took it may have twice: a message whose response was lost is sent again.
    """
    batches = list(_batches(messages))
    with ThreadPoolExecutor(CALLS_AT_ONCE, "sqs") as executor:
        sent = executor.map(lambda batch: _send(queue_url, {number: messages[number] for number in batch}), batches)
        return {number: code for failed in sent for number, code in failed.items()}


def _send(queue_url: str, messages: Mapping[int, dict[str, Any]]) -> dict[int, str]:
    entries: list[Any] = [{"Id": str(number), **message} for number, message in messages.items()]
    try:
        response = sqs_client().send_message_batch(QueueUrl=queue_url, Entries=entries)
    except ClientError as error:
        return dict.fromkeys(messages, str(error.response["Error"]["Code"]))
    except BotoCoreError as error:
        return dict.fromkeys(messages, type(error).__name__)
    return {int(entry["Id"]): str(entry.get("Code")) for entry in response.get("Failed", [])}


def _batches(messages: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """Yield the positions of messages that one call takes, in number and in bytes."""
    batch: list[int] = []
    size = 0
    for number, message in enumerate(messages):
        bytes_ = len(message["MessageBody"].encode())
        if batch and (len(batch) == MESSAGES_A_CALL or size + bytes_ > BYTES_A_CALL):
            yield batch
            batch, size = [], 0
        batch.append(number)
        size += bytes_
    if batch:
        yield batch
