"""A comparison asked for: its range, its pace, its parts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from billing import clock, queues
from billing.clock import format_time
from billing.comparison_requests import read_request, request_comparison
from billing.errors import RefusedError
from billing.meters import METERS
from billing.rate_limit import RateLimit
from billing.tables.subscriptions import SEGMENTS
from tests.support.due_hours import HOUR, due_hour, put, subscribed
from tests.support.queues import record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from programs.local.stack import Stack

from tests.support.reported import READINGS, customer_of, damage, differences


@pytest.mark.parametrize(
    ("request_", "start", "end"),
    [
        ({}, "2026-11-21T12:00:00Z", "2026-11-23T12:00:00Z"),
        ({"start": "2026-10-20T00:00:00Z"}, "2026-10-20T00:00:00Z", "2026-11-23T12:00:00Z"),
        (
            {"start": "2026-11-22T10:59:59Z", "end": "2026-11-22T12:30:00Z"},
            "2026-11-22T10:00:00Z",
            "2026-11-22T12:00:00Z",
        ),
        (
            {"end": "2027-01-01T00:00:00Z", "start": "2026-11-23T00:00:00Z"},
            "2026-11-23T00:00:00Z",
            "2026-11-23T12:00:00Z",
        ),
    ],
)
def test_a_range_is_cut_to_whole_closed_hours(reported: Stack, request_: dict[str, str], start: str, end: str) -> None:
    request = read_request(request_)

    assert (format_time(request.start), format_time(request.end)) == (start, end)


@pytest.mark.parametrize(
    "request_",
    [
        {"start": "2026-10-18T00:00:00Z"},
        {"start": "2026-11-23T09:00:00Z", "end": "2026-11-23T09:59:00Z"},
        {"start": "yesterday"},
        {"end": 7},
        {"segment": 16},
        {"segment": True},
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused(reported: Stack, request_: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        reported.reconcile(**request_)


def test_hours_of_the_past_35_days_are_compared_by_hand(stack: Stack, dynamodb: DynamoDBClient) -> None:
    subscribed(stack, dynamodb, ["acme"])
    long_ago = HOUR - timedelta(days=30)
    put(dynamodb, "UsageTable", [due_hour("acme", start=long_ago), due_hour("acme")])
    stack.advance(hours=1)
    stack.meter()
    stack.advance(hours=50)
    stack.simulator.account.meter_events.lose_hour(customer_of(stack, "acme"), READINGS, long_ago.timestamp())

    assert stack.reconcile()["drift_events"] == 0, "the daily one looks at what was reported in two days"
    assert stack.reconcile(start=format_time(HOUR - timedelta(days=31)))["drift_events"] == 1
    stack.meter()
    assert stack.differences(["acme"], long_ago, HOUR + timedelta(days=1)) == []


def test_a_month_of_hours_is_read_page_by_page(stack: Stack, dynamodb: DynamoDBClient) -> None:
    subscribed(stack, dynamodb, ["acme"])
    hours = [HOUR - timedelta(hours=back) for back in range(250)]
    put(dynamodb, "UsageTable", [due_hour("acme", start=start) for start in hours])
    stack.advance(hours=1)
    assert stack.meter()["settled"] == 250
    stack.advance(hours=2)

    assert stack.reconcile(start=format_time(hours[-1]))["hours"] == 250
    pages = stack.simulator.requests.to("GET /v1/billing/meters/{id}/event_summaries")
    counted, uncounted = 2, len(METERS) - 2  # an hour in bulk has two meters' counts
    assert len(pages) == 3 * counted + uncounted


def test_calls_are_paced_to_stripes_limit(reported: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    rates: list[float] = []
    real = RateLimit.__init__

    def made(limit: RateLimit, per_second: float) -> None:
        rates.append(per_second)
        real(limit, per_second)

    monkeypatch.setattr(RateLimit, "__init__", made)
    monkeypatch.setattr(RateLimit, "wait", lambda self, units: waited.append(units))
    monkeypatch.delenv("RECONCILIATION_CALLS_PER_SECOND")
    reported.reconcile()

    asked = reported.simulator.requests.to("GET /v1/billing/meters/{id}/event_summaries")
    assert rates == [25 / 5]
    assert sum(waited) == len(asked) == 3 * len(METERS)


@pytest.fixture
def queue(reported: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQSClient]:
    with mock_aws(config={"core": {"mock_credentials": False}}):
        sqs = boto3.client("sqs")
        monkeypatch.setenv("RECONCILIATION_QUEUE_URL", sqs.create_queue(QueueName="Reconciliation")["QueueUrl"])
        yield sqs


def process(stack: Stack, sqs: SQSClient, context: Any = None) -> int:
    url = sqs.get_queue_url(QueueName="Reconciliation")["QueueUrl"]
    worked_off = 0
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            event = {"Records": [record(message["MessageId"], message["Body"])]}
            assert stack.reconciliation_app.handler(event, context) == {"batchItemFailures": []}
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            worked_off += 1
    return worked_off


def test_every_organisation_is_compared_once_when_the_queue_carries_the_parts(
    reported: Stack, queue: SQSClient
) -> None:
    damage(reported)

    assert reported.reconcile() == {"enqueued": SEGMENTS}
    assert process(reported, queue) == SEGMENTS

    asked = reported.simulator.requests.to("GET /v1/billing/meters/{id}/event_summaries")
    assert len(asked) == len({(request.path, request.params["customer"]) for request in asked}) == 3 * len(METERS)
    reported.meter()
    assert differences(reported) == []


def test_the_rest_goes_on_in_another_message_when_the_time_is_over(
    reported: Stack, queue: SQSClient, dynamodb: DynamoDBClient
) -> None:
    names = [f"org-{number}" for number in range(40)]
    subscribed(reported, dynamodb, names)
    put(dynamodb, "UsageTable", [due_hour(name) for name in names])
    reported.meter()
    reported.advance(hours=2)

    class OneOrganisation:
        """Leave time for the first organisation of every invocation."""

        calls = 0

        def get_remaining_time_in_millis(self) -> int:
            self.calls += 1
            return 900_000 if self.calls <= 2 else 1_000

    reported.reconcile()
    url = queue.get_queue_url(QueueName="Reconciliation")["QueueUrl"]
    messages = 0
    while found := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in found:
            event = {"Records": [record(message["MessageId"], message["Body"])]}
            assert reported.reconciliation_app.handler(event, OneOrganisation()) == {"batchItemFailures": []}
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            messages += 1

    asked = reported.simulator.requests.to("GET /v1/billing/meters/{id}/event_summaries")
    assert len(asked) == len({(request.path, request.params["customer"]) for request in asked}) == len(METERS) * 43
    assert messages > SEGMENTS


def test_a_message_comes_again_when_it_cannot_be_carried_out(reported: Stack, queue: SQSClient) -> None:
    good, bad = '{"segment": 1}', '{"segment": 99}'
    event = {"Records": [record("good", good), record("bad", bad)]}

    assert reported.reconciliation_app.handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}


class Held:
    """A queue that holds what is sent, with its delay, until the test takes it."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.entries += Entries
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def take(self) -> list[dict[str, Any]]:
        taken, self.entries = self.entries, []
        return taken


def test_the_comparison_that_a_report_asks_for_waits_while_its_hours_are_too_young(
    stack: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    monkeypatch.setenv("RECONCILIATION_QUEUE_URL", "https://sqs.test/comparisons")
    monkeypatch.setattr(queues, "sqs_client", lambda: held)
    subscribed(stack, dynamodb, ["late"])
    start = HOUR - timedelta(days=30)
    put(dynamodb, "UsageTable", [due_hour("late", start=start)])
    assert stack.meter()["settled"] == 1
    assert stack.simulator.account.meter_events.lose_hour(customer_of(stack, "late"), READINGS, start.timestamp())
    meters = {meter["event_name"]: meter["id"] for meter in stack.simulator.account.meters.objects.values()}

    request_comparison(meters[READINGS], clock.utc_now())
    hops = 0
    while messages := held.take():
        assert stack.due_hours() == []
        assert len(messages) == SEGMENTS
        assert all(0 < message["DelaySeconds"] <= 900 for message in messages)
        stack.advance(seconds=messages[0]["DelaySeconds"])
        records = [record(message["Id"], message["MessageBody"]) for message in messages]
        assert stack.reconciliation_app.handler({"Records": records}, None) == {"batchItemFailures": []}
        hops += 1

    assert hops == 4, "an hour, in parts of a quarter"
    assert stack.due_hours() == [("late", format_time(start))]
