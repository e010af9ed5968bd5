"""What Stripe counted against what was reported: found, repaired, paced, and handed on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from billing import record_readings
from billing.clock import format_time
from billing.errors import RefusedError
from billing.meters import METERS
from billing.rate_limit import RateLimit
from billing.reconciliation.comparison import SUMMARY_LAG
from billing.reconciliation.invocation import carry_out
from billing.reconciliation.requests import read_request, request_comparison
from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_gateway.meter_events import meter_events
from billing.stripe_gateway.summaries import hourly_summaries
from billing.tables.subscriptions import SEGMENTS, SubscriptionRecord, subscriptions_in_segment
from billing.tables.usage import set_in_hour
from tests.metering.test_fan_out import record
from tests.metering.usage import HOUR, due_hour, put, subscribed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

    from programs.local.stack import Stack

ORGANIZATIONS = ("acme", "beta", "gone")
READINGS = "temperature_readings"
NINE = HOUR + timedelta(hours=1)


@pytest.fixture
def reported(stack: Stack, dynamodb: DynamoDBClient) -> Stack:
    """Report two hours of three organisations, two hours ago."""
    subscribed(stack, dynamodb, ORGANIZATIONS)
    hours = [due_hour(name, start=start) for name in ORGANIZATIONS for start in (HOUR, NINE)]
    put(dynamodb, "UsageTable", hours)
    stack.advance(hours=2)
    assert stack.meter()["settled"] == 6
    stack.advance(hours=2)
    return stack


def customer_of(stack: Stack, organization_id: str) -> str:
    return next(iter(stack.customers[organization_id]))


def damage(stack: Stack) -> None:
    """Let Stripe lose an hour of one organisation and double one of another."""
    events = stack.simulator.account.meter_events
    assert events.lose_hour(customer_of(stack, "acme"), READINGS, HOUR.timestamp())
    assert events.double_hour(customer_of(stack, "beta"), "active_sensors", NINE.timestamp())


def differences(stack: Stack) -> list[Any]:
    return stack.differences(ORGANIZATIONS, HOUR - timedelta(days=40), HOUR + timedelta(days=2))


def test_a_lost_and_a_doubled_hour_are_found_and_repaired_by_the_next_run(reported: Stack) -> None:
    damage(reported)

    summary = reported.reconcile()

    found = {name: summary[name] for name in ("organizations", "hours", "drift_events", "drift_units", "made_due")}
    assert found == {"organizations": 3, "hours": 6, "drift_events": 2, "drift_units": 123, "made_due": 2}
    assert reported.due_hours() == [("acme", format_time(HOUR)), ("beta", format_time(NINE))]
    reported.meter()
    assert differences(reported) == []
    reported.advance(hours=2)
    assert reported.reconcile()["drift_events"] == 0


def test_nothing_is_found_when_stripe_counted_what_was_reported(reported: Stack) -> None:
    assert reported.reconcile() == {
        "organizations": 3,
        "hours": 6,
        "drift_events": 0,
        "drift_units": 0,
        "made_due": 0,
        "failures": 0,
        "complete": True,
    }


def test_a_summary_that_lags_is_no_drift_until_the_hour_was_reported_an_hour_ago(
    stack: Stack, dynamodb: DynamoDBClient
) -> None:
    subscribed(stack, dynamodb, ["acme"])
    put(dynamodb, "UsageTable", [due_hour("acme")])
    stack.advance(hours=1)
    stack.simulator.settings.ingestion_lag_seconds = 50 * 60
    stack.meter()

    stack.advance(seconds=SUMMARY_LAG.total_seconds() - 1)
    stack.simulator.settings.ingestion_lag_seconds = 3 * 3600
    assert stack.reconcile()["hours"] == 0
    stack.advance(seconds=1)
    assert stack.reconcile()["drift_events"] == 2


def test_a_dry_run_finds_and_changes_nothing(reported: Stack) -> None:
    damage(reported)

    summary = carry_out(read_request({}), dry_run=True)

    assert (summary.drift_events, summary.drift_units, summary.made_due) == (2, 123, 0)
    assert reported.due_hours() == []


def test_only_one_meter_is_compared_when_its_id_is_given(reported: Stack) -> None:
    damage(reported)
    meters = {meter["event_name"]: meter["id"] for meter in reported.simulator.account.meters.objects.values()}

    summary = reported.reconcile(meter_id=meters[READINGS])

    assert (summary["drift_events"], summary["drift_units"]) == (1, 120)
    assert reported.reconcile(meter_id="mtr_of_nobody")["drift_events"] == 0
    asked = reported.simulator.requests.to("GET /v1/billing/meters/{id}/event_summaries")
    assert {request.path.split("/")[4] for request in asked} == {meters[READINGS]}


def test_the_others_are_compared_when_one_organisation_cannot_be(reported: Stack) -> None:
    damage(reported)
    reported.simulator.account.customers.delete(customer_of(reported, "gone"))

    summary = reported.reconcile()

    assert (summary["failures"], summary["drift_events"], summary["organizations"]) == (1, 2, 3)


def test_an_hour_is_compared_at_the_customer_it_was_reported_to(reported: Stack, dynamodb: DynamoDBClient) -> None:
    old = customer_of(reported, "acme")
    subscribed(reported, dynamodb, ["acme"])
    reported.customers["acme"].add(old)
    assert reported.reconcile()["drift_events"] == 0
    damage_at = reported.simulator.account.meter_events.lose_hour
    assert damage_at(old, READINGS, HOUR.timestamp())

    assert reported.reconcile()["drift_events"] == 1
    reported.meter()
    assert reported.simulator.account.hourly(old, READINGS)[int(HOUR.timestamp())] == 120
    assert differences(reported) == []


def test_the_customer_that_stripe_still_has_is_compared_when_another_one_is_deleted(
    reported: Stack, dynamodb: DynamoDBClient
) -> None:
    old = customer_of(reported, "acme")
    subscribed(reported, dynamodb, ["acme"])
    new = customer_of(reported, "acme")
    put(dynamodb, "UsageTable", [due_hour("acme", start=HOUR + timedelta(hours=2))])
    reported.meter()
    reported.advance(hours=2)
    reported.simulator.account.customers.delete(old)
    assert reported.simulator.account.meter_events.lose_hour(new, READINGS, HOUR.timestamp() + 7200)

    summary = reported.reconcile()

    assert (summary["failures"], summary["drift_events"]) == (1, 1)


def reported_meanwhile(stack: Stack, monkeypatch: pytest.MonkeyPatch, taken_at: datetime) -> list[int]:
    """Let readings come and a run report them between a comparison's two reads; the list has what it settled."""
    settled: list[int] = []

    def summaries(*arguments: Any) -> Any:
        if not settled:
            record_readings("acme", 7, taken_at)
            settled.append(stack.meter()["settled"])
        return hourly_summaries(*arguments)

    monkeypatch.setattr("billing.reconciliation.comparison.hourly_summaries", summaries)
    return settled


# ------------------------------------------------------------------------------- what was never reported from here


def told_by_somebody_else(stack: Stack, customer_id: str, value: int, start: datetime) -> None:
    identifier = f"elsewhere {customer_id} {start}"
    meter_events(stripe_gateway()).create(READINGS, identifier, int(start.timestamp()), customer_id, value)


def test_usage_that_was_never_reported_is_drift_and_left_alone(reported: Stack, dynamodb: DynamoDBClient) -> None:
    subscribed(reported, dynamodb, ["idle"])
    told_by_somebody_else(reported, customer_of(reported, "idle"), 5, HOUR)
    told_by_somebody_else(reported, customer_of(reported, "acme"), 7, HOUR - timedelta(hours=1))

    summary = reported.reconcile()

    assert (summary["organizations"], summary["drift_events"], summary["drift_units"]) == (4, 2, 12)
    assert (summary["made_due"], summary["failures"], reported.due_hours()) == (0, 0, [])
    reported.meter()
    assert [hour.at_stripe for hour in differences(reported)] == [7]


def test_usage_that_somebody_else_told_is_overwritten_when_a_count_of_its_hour_is_recorded(reported: Stack) -> None:
    acme, seven = customer_of(reported, "acme"), HOUR - timedelta(hours=1)
    told_by_somebody_else(reported, acme, 7, seven)
    set_in_hour("acme", format_time(seven), READINGS, 0)
    reported.meter()
    reported.advance(hours=2)

    assert reported.reconcile()["drift_events"] == 0
    assert reported.simulator.account.hourly(acme, READINGS)[int(seven.timestamp())] == 0


def test_an_hour_that_is_counted_at_two_customers_is_drift(reported: Stack, dynamodb: DynamoDBClient) -> None:
    old = customer_of(reported, "acme")
    subscribed(reported, dynamodb, ["acme"])
    told_by_somebody_else(reported, customer_of(reported, "acme"), 120, HOUR)
    reported.customers["acme"].add(old)

    assert reported.reconcile()["drift_units"] == 120


def test_it_is_no_drift_when_a_run_first_reports_an_hour_meanwhile(
    reported: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = reported_meanwhile(reported, monkeypatch, HOUR - timedelta(hours=1))

    assert reported.reconcile(segment=segment_of(reported, "acme"))["drift_events"] == 0
    assert meanwhile == [1]


def test_a_customer_to_which_nothing_was_reported_may_be_gone(reported: Stack, dynamodb: DynamoDBClient) -> None:
    subscribed(reported, dynamodb, ["idle"])
    reported.simulator.account.customers.delete(customer_of(reported, "idle"))

    assert reported.reconcile()["failures"] == 0


def test_stripe_is_not_asked_about_an_organisation_that_ended_before_the_hours(
    reported: Stack, dynamodb: DynamoDBClient
) -> None:
    subscribed(reported, dynamodb, ["idle", "former"])
    SubscriptionRecord("former").update(actions=[SubscriptionRecord.ended_at.set(HOUR - timedelta(days=9))])
    reported.reconcile()

    asked = reported.simulator.requests.to("GET /v1/billing/meters/{id}/event_summaries")
    customers = {request.params["customer"] for request in asked}
    assert customer_of(reported, "idle") in customers
    assert customer_of(reported, "former") not in customers


def test_it_is_no_drift_when_a_run_reports_the_hour_anew_meanwhile(
    reported: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = reported_meanwhile(reported, monkeypatch, HOUR)

    assert reported.reconcile(segment=segment_of(reported, "acme"))["drift_events"] == 0
    assert reported.due_hours() == []
    assert meanwhile == [1]


def segment_of(stack: Stack, organization_id: str) -> int:
    def is_in(part: int) -> bool:
        return organization_id in [record.organization_id for record in subscriptions_in_segment(part)]

    return next(part for part in range(SEGMENTS) if is_in(part))


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
    long_ago = HOUR - timedelta(days=33)
    put(dynamodb, "UsageTable", [due_hour("acme", start=long_ago), due_hour("acme")])
    stack.advance(hours=1)
    stack.meter()
    stack.advance(hours=2)
    stack.simulator.account.meter_events.lose_hour(customer_of(stack, "acme"), READINGS, long_ago.timestamp())

    assert stack.reconcile()["drift_events"] == 0, "the daily one looks at two days"
    assert stack.reconcile(start=format_time(HOUR - timedelta(days=34)))["drift_events"] == 1
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
    assert len(pages) == len(METERS) * 3


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


def test_an_error_report_asks_for_the_comparison_of_its_meter(reported: Stack, queue: SQSClient) -> None:
    damage(reported)
    meters = {meter["event_name"]: meter["id"] for meter in reported.simulator.account.meters.objects.values()}

    request_comparison(meters[READINGS])
    assert process(reported, queue) == SEGMENTS

    assert reported.due_hours() == [("acme", format_time(HOUR))]
