"""The dead letters of usage: looked through, put back on the usage queue, or removed.

Whoever receives a message hides it from others for a while: what was received is shown again at the end, and by itself
ten minutes after whatever happened. A message that is put back is sent first and only then removed here: between the
two it is on both queues, which is harmless, for an event counts once under its identity.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from billing.batches import batches
from billing.clock import format_time, from_unix
from billing.errors import ConfigurationError, UnavailableError
from billing.ingestion.events import RejectedUsageError, read_event
from billing.ingestion.rejected import RejectedEvent, read_rejected
from operations import connection

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
MESSAGES_A_CALL = 10
# How long a message that was received stays hidden where nothing shows it again.
HIDDEN_SECONDS = 600
# The queue is looked through when so many calls in a row, of which each asks all of its servers, bring nothing new.
LAST_CALLS, CALL_SECONDS = 2, 1
# The code of what no invocation finished, so that SQS moved it there.
NOT_PROCESSED = "not_processed"


@dataclass(frozen=True)
class DeadLetter:
    """A message of the dead-letter queue; `rejected` is None where SQS moved it there, as its sender wrote it."""

    message_id: str
    body: str
    sent_at: datetime
    rejected: RejectedEvent | None

    @property
    def code(self) -> str:
        """Return why it is there."""
        return self.rejected.code if self.rejected else NOT_PROCESSED

    @property
    def reason(self) -> str:
        """Return the same for a person."""
        text = "No invocation finished it (docs/ingestion.md): its events may be counted in part, and count once"
        return self.rejected.reason if self.rejected else text

    @cached_property
    def event(self) -> Any:
        """Return what was to be counted: an event, a list of them, or a text that is no JSON."""
        if self.rejected is not None:
            return self.rejected.event
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return self.body

    @property
    def message(self) -> str:
        """Return the message that puts it back as it was."""
        return message_of(self.event) if self.rejected else self.body

    def as_dicts(self, corrected: Any = None) -> list[dict[str, Any]]:
        """Return its events for programs, or what they were corrected to, each with why it is there."""
        told = {
            "message_id": self.message_id,
            "code": self.code,
            "reason": self.reason,
            "rejected_at": self.rejected.rejected_at if self.rejected else None,
            "sent_at": format_time(self.sent_at),
        }
        return [{**told, **fields_of(event)} for event in events_in(corrected or self.event)]

    def as_line(self) -> str:
        """Return it as a line of a file in which its event can be corrected."""
        values = {"message_id": self.message_id, "code": self.code, "reason": self.reason, "event": self.event}
        return json.dumps(values, ensure_ascii=False)


def events_in(value: Any) -> list[Any]:
    """Return the events of a message's content, which is one or a list."""
    return value if isinstance(value, list) and value else [value]


def message_of(event: Any) -> str:
    """Return the body of a message with this content; a text is one that was no JSON."""
    return event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))


def fields_of(event: Any) -> dict[str, Any]:
    """Return what an event says, for programs; of what is no event, itself."""
    values = event if isinstance(event, Mapping) else {}
    data = values.get("data")
    return {
        "source": values.get("source"),
        "id": values.get("id"),
        "organization_id": values.get("subject"),
        "meter": values.get("type"),
        "time": values.get("time"),
        "value": data.get("value") if isinstance(data, Mapping) else None,
        "event": event,
    }


class DeadLetterQueue:
    """The dead-letter queue and the usage queue, by `USAGE_DEAD_LETTER_QUEUE_URL` and `USAGE_QUEUE_URL`.

    `opened_at` is the time of SQS's own clock: what is rejected again was sent later. `size` is about how many messages
    there were then.
    """

    def __init__(self) -> None:
        self.url, self.usage_queue_url = _url("USAGE_DEAD_LETTER_QUEUE_URL"), _url("USAGE_QUEUE_URL")
        self._client: SQSClient = connection.aws_client("sqs")
        self._hidden: dict[str, str] = {}
        name = "ApproximateNumberOfMessages"
        response = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        self.size = int(response["Attributes"][name])
        self.opened_at = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])

    @contextmanager
    def pages(self) -> Iterator[Iterator[list[DeadLetter]]]:
        """Give all messages, some at a time; those that are not removed are visible to others again at the end."""
        try:
            yield self._pages()
        finally:
            self._show_again()

    def _pages(self) -> Iterator[list[DeadLetter]]:
        seen, calls_without = set[str](), 0
        while calls_without < LAST_CALLS:
            response = self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=MESSAGES_A_CALL,
                MessageSystemAttributeNames=["SentTimestamp"],
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=CALL_SECONDS,
            )
            messages = response.get("Messages", [])
            self._hidden |= {message["MessageId"]: message["ReceiptHandle"] for message in messages}
            # A message comes twice where the look takes longer than it stays hidden, and rarely otherwise.
            page = [_dead_letter(message) for message in messages if message["MessageId"] not in seen]
            seen |= {letter.message_id for letter in page}
            calls_without = 0 if page else calls_without + 1
            if page:
                yield page

    def _show_again(self) -> None:
        for batch in batches(list(self._hidden.values()), MESSAGES_A_CALL):
            # What fails here is visible again by itself.
            self._client.change_message_visibility_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for number, receipt in enumerate(batch)
                ],
            )
        self._hidden.clear()

    def put_back(self, message_ids: Sequence[str], bodies: Sequence[str]) -> None:
        """Send bodies to the usage queue, and then remove the messages that they were.

        Raises:
            UnavailableError: the dead-letter queue did not remove one, which is on both queues now.
            ClientError, BotoCoreError: the usage queue did not take one, and nothing was removed.
        """
        for body in bodies:
            self._client.send_message(QueueUrl=self.usage_queue_url, MessageBody=body)
        self.remove(message_ids)

    def remove(self, message_ids: Sequence[str]) -> None:
        """Remove messages that were received.

        Raises:
            UnavailableError: one is still there.
        """
        for batch in batches(list(message_ids), MESSAGES_A_CALL):
            response = self._client.delete_message_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": self._hidden[message_id]}
                    for number, message_id in enumerate(batch)
                ],
            )
            for entry in response.get("Successful", []):
                del self._hidden[batch[int(entry["Id"])]]
            for entry in response.get("Failed", []):
                raise UnavailableError(f"{batch[int(entry['Id'])]} was not removed: {entry.get('Code')}")


def _dead_letter(message: MessageTypeDef) -> DeadLetter:
    sent_at = from_unix(int(message["Attributes"]["SentTimestamp"]) // 1000)
    body = message["Body"]
    return DeadLetter(message["MessageId"], body, sent_at, read_rejected(body))


def _url(variable: str) -> str:
    url = os.environ.get(variable, "")
    if not url:
        raise ConfigurationError(f"{variable} is empty: name the stack (--stack), or set it to the queue's URL")
    return url


@dataclass(frozen=True, slots=True)
class Correction:
    """A corrected event, or list of them, for the message that it replaces; `line` is where it stands in its file."""

    line: int
    message_id: str
    event: Any


def read_corrections(lines: Sequence[str], now: datetime) -> tuple[list[Correction], list[str]]:
    """Return the corrections of a file and, by line, what is wrong with it: what would be rejected again."""
    corrections, wrong = [], []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            wrong.append(f"line {number}: no JSON: {error}")
            continue
        if not isinstance(values, dict) or not isinstance(values.get("message_id"), str) or "event" not in values:
            wrong.append(f"line {number}: no object with message_id and event, as --export writes it")
            continue
        corrections.append(Correction(number, values["message_id"], values["event"]))
        for event in events_in(values["event"]):
            try:
                read_event(event, now)
            except RejectedUsageError as error:
                wrong.append(f"line {number}: {error.code}: {error}")
    return corrections, wrong
