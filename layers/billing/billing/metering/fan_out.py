"""Many workers: a queue message for each shard, processed one at a time within its shard.

The queue is FIFO and the shard is the message group, so that SQS never has two messages of a shard under way at once.
Nothing depends on it (see `metering/__init__.py`): it only saves two workers from doing the same.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from billing import clock
from billing.metering.invocation import process_shards
from billing.queues import send_messages
from billing.settings import metering_queue_url
from billing.tables.usage import SHARDS
from billing.telemetry import logger


def enqueue_shards(queue_url: str, until: datetime) -> int:
    """Put a message for each shard on the queue and return how many; the same schedule twice puts them there once.

    Raises:
        UnavailableError: the queue did not take all of them. Those that it took are processed all the same.
    """
    text = clock.format_time(until)
    return send_messages(queue_url, [_message(shard, text, f"{shard}-{text}") for shard in range(SHARDS)])


def _message(shard: int, until: str, deduplication_id: str) -> dict[str, Any]:
    return {
        "MessageBody": json.dumps({"shard": shard, "until": until}),
        "MessageGroupId": str(shard),
        "MessageDeduplicationId": deduplication_id,
    }


def process_messages(event: Any, context: Any, may_continue: Callable[[], bool]) -> dict[str, Any]:
    """Process the shards that a batch of messages names; return which messages are to come again."""

    def process(record: SQSRecord) -> None:
        message = record.json_body
        shard, until = int(message["shard"]), clock.parse_time(message["until"])
        summary = process_shards([shard], until, may_continue)
        # Hours that failed stay due for the next schedule: a message that came again for them would hold up the shard.
        if not summary.complete:
            _continue_later(shard, message["until"])

    response: Any = process_partial_response(event, process, SqsFifoPartialProcessor(), context)
    return dict(response)


def _continue_later(shard: int, until: str) -> None:
    """Enqueue the rest of a shard as another message: the time of this invocation is over, the work is not."""
    send_messages(metering_queue_url(), [_message(shard, until, uuid.uuid4().hex)])
    logger.info("The rest of a shard goes on in another message", extra={"shard": shard})
