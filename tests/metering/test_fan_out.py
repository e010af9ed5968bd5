"""Sixteen shards on a FIFO queue, and what a worker answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from moto import mock_aws

from billing import queues
from billing.errors import UnavailableError
from billing.tables.usage import SHARDS
from programs.local.stack import TimeLimit
from tests.support.due_hours import due_hour, put, subscribed
from tests.support.queues import record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from programs.local.stack import Stack

SCHEDULE = {"scheduled_time": "2026-11-23T09:05:00Z"}


class Queue:
    """Be SQS and Lambda's poller: hand messages to the worker, and delete those that it did not report as failed."""

    def __init__(self, stack: Stack, sqs: SQSClient, url: str) -> None:
        self.stack, self.sqs, self.url = stack, sqs, url

    def receive(self) -> list[Any]:
        response = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        return response.get("Messages", [])

    def event(self, *bodies: Any) -> dict[str, Any]:
        return {"Records": [record(str(number), json.dumps(body)) for number, body in enumerate(bodies)]}

    def process(self, context: Any = None) -> int:
        """Process messages, one an invocation, until there are none; return how many there were."""
        processed = 0
        while messages := self.receive():
            for message in messages:
                event = {"Records": [record(message["MessageId"], message["Body"])]}
                assert self.stack.metering_app.worker(event, context) == {"batchItemFailures": []}
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                processed += 1
        return processed


@pytest.fixture
def queue(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    # The credentials stay: DynamoDB Local keeps the tables of each access key apart.
    with mock_aws(config={"core": {"mock_credentials": False}}):
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="UsageMetering.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        monkeypatch.setenv("METERING_QUEUE_URL", url)
        yield Queue(stack, sqs, url)


def use_something(stack: Stack, dynamodb: DynamoDBClient, organizations: int) -> None:
    names = [f"org-{number}" for number in range(organizations)]
    subscribed(stack, dynamodb, names)
    put(dynamodb, "UsageTable", [due_hour(name) for name in names])
    stack.advance(hours=1)


def test_a_message_for_each_shard_is_queued_once_when_the_schedule_fires_twice(stack: Stack, queue: Queue) -> None:
    stack.advance(hours=1)
    for _ in range(2):
        assert stack.metering_app.handler(SCHEDULE, TimeLimit()) == {"enqueued": SHARDS}

    bodies = []
    while messages := queue.receive():
        for message in messages:
            bodies.append(json.loads(message["Body"]))
            assert message["Attributes"]["MessageGroupId"] == str(bodies[-1]["shard"])
            queue.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert sorted(body["shard"] for body in bodies) == list(range(SHARDS))
    assert {body["until"] for body in bodies} == {"2026-11-23T09:05:00Z"}


def test_the_workers_bill_every_shard(stack: Stack, queue: Queue, dynamodb: DynamoDBClient) -> None:
    use_something(stack, dynamodb, 60)
    stack.metering_app.handler(SCHEDULE, TimeLimit())
    assert len(stack.due_hours()) == 60, "the scheduled function itself bills nothing"

    assert queue.process() == SHARDS

    assert stack.due_hours() == []
    assert stack.simulator.account.meter_events.accepted == 120


def test_the_rest_of_a_shard_goes_on_in_another_message_when_the_time_is_over(
    stack: Stack, queue: Queue, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.metering.invocation.UNIT_EVENTS", 4)
    use_something(stack, dynamodb, 60)
    stack.metering_app.handler(SCHEDULE, TimeLimit())

    class OneUnit:
        """Leave time for one unit an invocation."""

        def __init__(self) -> None:
            self.accepted = stack.simulator.account.meter_events.accepted

        def get_remaining_time_in_millis(self) -> int:
            fresh = stack.simulator.account.meter_events.accepted == self.accepted
            return 900_000 if fresh else 1_000

    continued = 0
    while messages := queue.receive():
        for message in messages:
            event = {"Records": [record(message["MessageId"], message["Body"])]}
            assert stack.metering_app.worker(event, OneUnit()) == {"batchItemFailures": []}
            queue.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
            continued += 1

    assert continued > SHARDS
    assert stack.due_hours() == []


def test_only_the_failed_message_comes_again_when_a_batch_has_one(
    stack: Stack, queue: Queue, dynamodb: DynamoDBClient
) -> None:
    use_something(stack, dynamodb, 20)
    until = SCHEDULE["scheduled_time"]
    batch = queue.event({"shard": 3, "until": until}, {"shard": "none", "until": until})

    assert stack.metering_app.worker(batch, None) == {"batchItemFailures": [{"itemIdentifier": "1"}]}


def test_the_message_comes_again_when_stripe_is_down_for_the_whole_shard(
    stack: Stack, queue: Queue, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.metering.invocation.UNIT_EVENTS", 2)
    names = [f"same-{number}" for number in range(400)]
    subscribed(stack, dynamodb, names)
    hours = [due_hour(name) for name in names]
    put(dynamodb, "UsageTable", [hour for hour in hours if hour["due_shard"] == {"N": "5"}])
    stack.advance(hours=1)
    stack.simulator.faults.add("http_500", "/v1/billing/meter_events")

    with pytest.raises(BatchProcessingError):
        stack.metering_app.worker(queue.event({"shard": 5, "until": SCHEDULE["scheduled_time"]}), None)

    assert queue.receive() == [], "no message that would try at once again"


def test_a_message_is_done_when_only_one_organisations_item_is_damaged(
    stack: Stack, queue: Queue, dynamodb: DynamoDBClient
) -> None:
    use_something(stack, dynamodb, 20)
    put(dynamodb, "UsageTable", [due_hour("damaged", revision={"S": "one"})])
    stack.metering_app.handler(SCHEDULE, TimeLimit())

    assert queue.process() == SHARDS

    items = dynamodb.scan(TableName="UsageTable")["Items"]
    assert [item["organization_id"]["S"] for item in items if "due_at" in item] == ["damaged"]


def test_handing_over_fails_loudly_when_sqs_takes_only_some(
    stack: Stack, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:
            return {"Failed": [{"Id": Entries[0]["Id"], "Code": "InternalError", "SenderFault": False}]}

    monkeypatch.setattr(queues, "sqs_client", Refusing)
    with pytest.raises(UnavailableError, match="InternalError"):
        stack.metering_app.handler(SCHEDULE, TimeLimit())
