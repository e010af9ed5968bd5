"""Usage, sent: what reaches the queue, what is tried again, and what is refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from billing import Usage, UsageEvents, clock
from billing.errors import InvalidUsageError, UsageNotSentError
from billing.ingestion.events import read_event
from billing.ingestion.sending import ATTEMPTS, LARGEST_BYTES
from tests.support.calls import Call, Calls, hook
from tests.support.faults import NoResponse
from tests.support.imports import modules_after

NOW = datetime(2026, 11, 23, 8, 5, tzinfo=UTC)
TAKEN = datetime(2026, 11, 23, 7, 59, 59, 250_000, tzinfo=UTC)


@pytest.fixture
def queue_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give a queue of moto's, a time, and no waiting between attempts."""
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)
    monkeypatch.setattr(UsageEvents, "back_off", staticmethod(lambda attempt: None))
    with mock_aws():
        yield boto3.client("sqs").create_queue(QueueName="usage")["QueueUrl"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, queue_url: str) -> Calls:
    return hook(monkeypatch)


def bodies(queue_url: str) -> list[Any]:
    """Take all messages from the queue, and return what they hold."""
    client, found = boto3.client("sqs"), []
    while messages := client.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            client.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return found


def events(queue_url: str) -> list[dict[str, Any]]:
    """Take all messages from the queue, and return their events."""
    return [event for body in bodies(queue_url) for event in (body if isinstance(body, list) else [body])]


def usages(number: int, **fields: Any) -> list[Usage]:
    return [Usage("acme", "temperature_readings", position, TAKEN, **fields) for position in range(1, number + 1)]


def test_the_client_imports_neither_stripe_nor_the_tables() -> None:
    loaded = modules_after("from billing import Usage, UsageEvents")

    assert "billing.ingestion.sending" in loaded
    assert not [name for name in loaded if name.split(".")[0] in ("stripe", "pynamodb", "boto3", "pydantic")]


def test_a_usage_is_a_cloud_event_that_the_function_reads_as_it_was_meant(queue_url: str) -> None:
    UsageEvents(queue_url, source="gateways/eu-1").send(Usage("acme", "temperature_readings", 12, TAKEN, id="r-1"))

    (event,) = bodies(queue_url)
    assert event == {
        "specversion": "1.0",
        "id": "r-1",
        "source": "gateways/eu-1",
        "type": "temperature_readings",
        "subject": "acme",
        "time": "2026-11-23T07:59:59.250000Z",
        "data": {"value": 12},
    }
    read = read_event(event, NOW)
    assert (read.source, read.id, read.organization_id, read.time, read.value) == (
        "gateways/eu-1",
        "r-1",
        "acme",
        TAKEN,
        12,
    )


def test_the_hour_is_the_moments_whatever_its_zone(queue_url: str) -> None:
    at = datetime(2026, 11, 23, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    UsageEvents(queue_url, source="s").send(Usage("acme", "active_sensors", 0, at))

    assert events(queue_url)[0]["time"] == "2026-11-23T07:30:00Z"


def test_each_usage_has_an_identity_of_its_own_and_keeps_it_when_it_is_sent_again(queue_url: str) -> None:
    first, second = usages(1) + usages(1)
    client = UsageEvents(queue_url, source="s")
    client.send([first, second])
    client.send(first)

    identities = [event["id"] for event in events(queue_url)]
    assert len(set(identities)) == 2
    assert sorted(identities) == sorted([first.id, first.id, second.id])


def test_many_go_a_hundred_to_a_message_and_ten_messages_to_a_call(queue_url: str, calls: Calls) -> None:
    sent = usages(1234)
    with calls.watched() as names:
        UsageEvents(queue_url, source="s").send(iter(sent))

    assert names == ["sqs:SendMessageBatch"] * 2
    found = bodies(queue_url)
    assert sorted(map(len, found)) == [34] + [100] * 12
    assert sorted(event["id"] for body in found for event in body) == sorted(usage.id for usage in sent)


def test_no_message_is_larger_than_it_may_be(queue_url: str) -> None:
    UsageEvents(queue_url, source="s" * 10_000).send(usages(150))

    sizes = [len(json.dumps(body, separators=(",", ":"))) for body in bodies(queue_url)]
    assert len(sizes) == 6
    assert 0.9 * LARGEST_BYTES < max(sizes) <= LARGEST_BYTES


def some_fail(positions: set[int]) -> Callable[[Call], Any]:
    """Return what takes a call's messages but for some, as SQS does when a part of it is down."""

    def respond(call: Call) -> Any:
        entries = call.request["Entries"]
        taken = [entry for position, entry in enumerate(entries) if position not in positions]
        response = call.perform_with({**call.request, "Entries": taken}) if taken else {"Successful": []}
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "Message": "sorry", "SenderFault": False}
            for position, entry in enumerate(entries)
            if position in positions
        ]
        return {**response, "Failed": failed}

    return respond


def test_messages_that_sqs_did_not_take_are_sent_again_and_only_those(queue_url: str, calls: Calls) -> None:
    sent = usages(500)
    with calls.watched(lambda number, call: some_fail({1, 3}) if number == 0 else None) as names:
        UsageEvents(queue_url, source="s").send(sent)

    assert len(names) == 2
    assert sorted(event["id"] for event in events(queue_url)) == sorted(usage.id for usage in sent)


def test_what_was_not_sent_is_named_and_may_be_sent_again(queue_url: str, calls: Calls) -> None:
    client, sent = UsageEvents(queue_url, source="s"), usages(250)
    # Of the messages of a call always the last one fails.
    with (
        calls.watched(lambda number, call: some_fail({len(call.request["Entries"]) - 1})) as names,
        pytest.raises(UsageNotSentError) as raised,
    ):
        client.send(sent)

    assert len(names) == ATTEMPTS
    assert raised.value.unsent == tuple(sent[200:])
    assert "50 of 250 were not sent (InternalError)" in str(raised.value)
    assert sent[200].id in str(raised.value)
    client.send(raised.value.unsent)
    assert sorted(event["id"] for event in events(queue_url)) == sorted(usage.id for usage in sent)


@pytest.mark.parametrize("has_effect", [True, False])
def test_a_call_without_response_is_made_again(queue_url: str, calls: Calls, has_effect: bool) -> None:
    (sent,) = usages(1)
    with calls.watched(lambda number, call: NoResponse(has_effect) if number == 0 else None):
        UsageEvents(queue_url, source="s").send(sent)

    # Twice on the queue, with one identity: counted once.
    assert {event["id"] for event in events(queue_url)} == {sent.id}


def test_a_queue_that_may_not_be_used_is_told_and_nothing_counts_as_sent(queue_url: str, calls: Calls) -> None:
    def is_refused(call: Call) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")

    sent = usages(5000)
    with (
        calls.watched(lambda number, call: is_refused),
        pytest.raises(UsageNotSentError, match="AccessDenied") as raised,
    ):
        UsageEvents(queue_url, source="s").send(sent)

    assert raised.value.unsent == tuple(sent)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Usage("acme", "humidity", 1, TAKEN), "humidity"),
        (Usage("a/b", "temperature_readings", 1, TAKEN), "a/b"),
        (Usage("acme", "temperature_readings", 0, TAKEN), "0"),
        (Usage("acme", "temperature_readings", 1.5, TAKEN), "1.5"),  # type: ignore[arg-type]
        (Usage("acme", "temperature_readings", True, TAKEN), "True"),
        (Usage("acme", "temperature_readings", 1, TAKEN.replace(tzinfo=None)), "zone"),
        (Usage("acme", "temperature_readings", 1, NOW + timedelta(minutes=6)), "future"),
        (Usage("acme", "temperature_readings", 1, NOW - timedelta(days=36)), "35 days"),
        (Usage("acme", "temperature_readings", 1, "2026-11-23T08:00:00Z"), "datetime"),  # type: ignore[arg-type]
        (Usage("acme", "temperature_readings", 1, TAKEN, id=""), "id"),
        (Usage("acme", "temperature_readings", 1, TAKEN, id="x" * LARGEST_BYTES), "longer than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_that_can_never_be_counted_is_refused_before_anything_is_sent(
    queue_url: str, calls: Calls, wrong: Usage, said: str
) -> None:
    with calls.watched() as names, pytest.raises(InvalidUsageError, match="Nothing was sent") as raised:
        UsageEvents(queue_url, source="s").send([*usages(3), wrong])

    assert said in str(raised.value)
    assert names == []


def test_of_many_that_are_wrong_some_are_named(queue_url: str) -> None:
    with pytest.raises(InvalidUsageError, match="and 7 more"):
        UsageEvents(queue_url, source="s").send([Usage("acme", "humidity", 1, TAKEN)] * 10)


def test_a_whole_number_of_another_type_is_sent_as_one(queue_url: str) -> None:
    UsageEvents(queue_url, source="s").send(Usage("acme", "temperature_readings", 12.0, TAKEN))  # type: ignore[arg-type]

    assert json.dumps(events(queue_url)[0]["data"]) == '{"value": 12}'


def test_nothing_is_sent_where_there_is_nothing(queue_url: str, calls: Calls) -> None:
    with calls.watched() as names:
        UsageEvents(queue_url, source="s").send([])

    assert names == []
