"""Many workers: a queue message for each shard, worked off one at a time within its shard.

The queue is FIFO and the shard is the message group, so that SQS never has two messages of a shard under way at once.
Nothing depends on it (see `metering/__init__.py`): it only saves two workers from doing the same.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from billing import clock
from billing.metering.invocation import work_off_shards
from billing.settings import metering_queue_url
from billing.tables.usage import SHARDS
from billing.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# SendMessageBatch takes ten.
SQS_BATCH = 10


@cache
def sqs_client() -> SQSClient:
    """Return the process's only SQS client, made on first use."""
    import boto3

    return boto3.client("sqs")


def hand_over_shards(queue_url: str, until: datetime) -> int:
    """Put a message for each shard on the queue and return how many; the same schedule twice puts them there once.

    Raises:
        RuntimeError: the queue did not take all of them. Those that it took are worked off all the same.
    """
    text = clock.format_time(until)
    entries: list[Any] = [
        {
            "Id": str(shard),
            "MessageBody": json.dumps({"shard": shard, "until": text}),
            "MessageGroupId": str(shard),
            "MessageDeduplicationId": f"{shard}-{text}",
        }
        for shard in range(SHARDS)
    ]
    failed: list[Any] = []
    for start in range(0, SHARDS, SQS_BATCH):
        answer = sqs_client().send_message_batch(QueueUrl=queue_url, Entries=entries[start : start + SQS_BATCH])
        failed += answer.get("Failed", [])
    if failed:
        raise RuntimeError(f"SQS did not take {len(failed)} of {SHARDS} shards: {failed[0].get('Code')}")
    return len(entries)


def work_off_messages(event: Any, context: Any, may_continue: Callable[[], bool]) -> dict[str, Any]:
    """Work off the shards that a batch of messages names; answer which messages are to come again."""

    def work_off(record: SQSRecord) -> None:
        message = record.json_body
        shard, until = int(message["shard"]), clock.parse_time(message["until"])
        summary = work_off_shards([shard], until, may_continue)
        # Parts that failed stay due for the next schedule: a message that came again for them would hold up the shard.
        if not summary.complete:
            _continue_later(shard, message["until"])

    answer: Any = process_partial_response(event, work_off, SqsFifoPartialProcessor(), context)
    return dict(answer)


def _continue_later(shard: int, until: str) -> None:
    """Hand the rest of a shard to another message: the time of this invocation is over, the work is not."""
    sqs_client().send_message(
        QueueUrl=metering_queue_url(),
        MessageBody=json.dumps({"shard": shard, "until": until}),
        MessageGroupId=str(shard),
        MessageDeduplicationId=uuid.uuid4().hex,
    )
    logger.info("The rest of a shard goes on in another message", extra={"shard": shard})
