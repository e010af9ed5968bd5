"""The usage queue and its dead-letter queue on this machine (moto's SQS), and who counts what is sent there."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

USAGE_QUEUE, DEAD_LETTER_QUEUE = "UsageQueue", "UsageDeadLetterQueue"
# As the template has it; a message that was not counted comes again sooner than there.
RECEIVED_AT_MOST, HIDDEN_SECONDS = 10, 10


@dataclass(frozen=True)
class LocalQueues:
    """The server's address, and the URLs of its two queues."""

    endpoint: str
    usage_url: str
    dead_letter_url: str

    def client(self) -> SQSClient:
        """Return a client of the server, with invented credentials."""
        import boto3

        return boto3.client(
            "sqs",
            endpoint_url=self.endpoint,
            region_name="eu-central-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


@contextmanager
def running_queues(host: str = "127.0.0.1", port: int = 0) -> Iterator[LocalQueues]:
    """Serve SQS with both queues, on a free port unless one is given."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would tell every look into the queue
    server = ThreadedMotoServer(ip_address=host, port=port, verbose=False)
    server.start()
    try:
        endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        client = LocalQueues(endpoint, "", "").client()
        dead = client.create_queue(QueueName=DEAD_LETTER_QUEUE)["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVED_AT_MOST})
        usage = client.create_queue(
            QueueName=USAGE_QUEUE, Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": str(HIDDEN_SECONDS)}
        )["QueueUrl"]
        yield LocalQueues(endpoint, usage, dead)
    finally:
        server.stop()


@contextmanager
def consuming(queues: LocalQueues, ingest: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[None]:
    """Hand messages to `ingest`, as Lambda does; it returns those that are to come again."""
    ended = threading.Event()
    thread = threading.Thread(target=_consume, args=(queues, ingest, ended), name="usage", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _consume(queues: LocalQueues, ingest: Callable[[Sequence[str]], Sequence[str]], ended: threading.Event) -> None:
    client = queues.client()
    while not ended.is_set():
        response = client.receive_message(QueueUrl=queues.usage_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages = response.get("Messages", [])
        if not messages:
            continue
        try:
            left = set(ingest([message["Body"] for message in messages]))
        except Exception:
            # As Lambda has it: all of them come again.
            traceback.print_exc()
            continue
        for message in messages:
            if message["Body"] not in left:
                client.delete_message(QueueUrl=queues.usage_url, ReceiptHandle=message["ReceiptHandle"])
