"""Whatever another writer puts into an attribute: its own hour or organisation suffers, is told, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import record_readings
from billing.clock import format_time
from billing.tables.customers import CustomerRecord
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord
from operations.cli import main
from programs.local.http_api import HttpApi
from programs.local.stack import Stack
from tests.damage.conftest import damages
from tests.support.due_hours import HOUR, due_hour, put
from tests.support.log import restored_log

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

WINDOW = format_time(HOUR)
RANGE = {"start": WINDOW, "end": format_time(HOUR + timedelta(hours=9))}


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("billing.webhooks.delivery.pause", lambda attempt: None)
    with restored_log():
        yield


@contextmanager
def healthy(stack: Stack, dynamodb: DynamoDBClient) -> Iterator[None]:
    """Give the stack a healthy organisation, and see that it is billed, compared, shown and listed."""
    stack.subscribe("healthy", at=HOUR)
    stack.deliver_all()
    put(dynamodb, "UsageTable", [due_hour("healthy")])
    yield
    assert stack.usage("healthy", WINDOW).due_at is None
    assert stack.differences(["healthy"], HOUR, HOUR + timedelta(hours=9)) == []
    for command in (["status"], ["due"], ["usage", "healthy"], ["requeue-refused", "--dry-run"]):
        assert main(command) == 0, command


def subscribed(stack: Stack, names: list[str]) -> dict[str, str]:
    """Let organisations subscribe, and return the ids of their subscriptions."""
    subscriptions = {name: stack.subscribe(name, at=HOUR)[1] for name in names}
    stack.deliver_all()
    return subscriptions


def assert_served(stack: Stack, name: str, subscription_id: str) -> None:
    """Assert that an organisation's webhooks are taken, and that it can be read."""
    stack.simulator.account.subscriptions.update(subscription_id, {"description": name})
    assert {response.status for response in stack.deliver_all()} == {200}, name
    for path, query in (("usage", RANGE), ("subscription", None)):
        assert HttpApi().call("GET", f"/organizations/{name}/{path}", query=query).status == 200, (name, path)


@pytest.mark.parametrize("also", [{}, {"refused": {"S": "no_customer: none"}}], ids=["due", "refused"])
def test_a_damaged_hour_is_told_and_stops_nothing(
    stack: Stack, dynamodb: DynamoDBClient, also: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = dict(damages(UsageRecord))
    subscriptions = subscribed(stack, list(damaged))
    stack.advance(hours=3)
    with healthy(stack, dynamodb):
        items = [due_hour(name) | also | damage for name, damage in damaged.items()]
        for item in items if also else ():
            del item["due_at"], item["due_shard"]
        put(dynamodb, "UsageTable", items)
        stack.meter()
        stack.advance(hours=3)
        assert stack.reconcile()["failures"] == 0
        stack.meter()
        for name, subscription_id in subscriptions.items():
            assert_served(stack, name, subscription_id)
            if not also:
                assert main(["usage", name, "--start", RANGE["start"], "--end", RANGE["end"]]) == 0, name
        for hour in UsageRecord.scan(consistent_read=True):
            # Billed, refused with its reason, or told as damaged by every comparison: never silent.
            is_told = hour.damaged or hour.refused or hour.due_at
            assert is_told or hour.reported is not None, hour.organization_id
            # An hour that is due is where a run looks.
            assert not hour.is_hidden, hour.organization_id


def test_a_damaged_record_of_an_organisation_is_fetched_anew(stack: Stack, dynamodb: DynamoDBClient) -> None:
    damaged = dict(damages(SubscriptionRecord))
    subscriptions = subscribed(stack, list(damaged))
    stack.advance(hours=3)
    with healthy(stack, dynamodb):
        put(dynamodb, "UsageTable", [due_hour(name) for name in damaged])
        for name, damage in damaged.items():
            ((attribute, value),) = damage.items()
            dynamodb.update_item(
                TableName="SubscriptionsTable",
                Key={"organization_id": {"S": name}},
                UpdateExpression="SET #a = :v",
                ExpressionAttributeNames={"#a": attribute},
                ExpressionAttributeValues={":v": value},
            )
        stack.meter()
        stack.reconcile()
        stack.advance(minutes=5)
        for name, subscription_id in subscriptions.items():
            assert_served(stack, name, subscription_id)
        stack.meter()
        for name, subscription_id in subscriptions.items():
            record = stack.record(name)
            # Limits are nobody's at Stripe: they are none until somebody sets them anew.
            assert (record.damaged - {"thresholds"}, record.stripe_subscription_id, record.status) == (
                frozenset(),
                subscription_id,
                "active",
            ), name
            assert stack.usage(name, WINDOW).reported, name


def test_a_damaged_item_of_a_customer_or_an_event_stops_no_webhook(stack: Stack, dynamodb: DynamoDBClient) -> None:
    damaged = {f"customer-{name}": damage for name, damage in damages(CustomerRecord)}
    subscriptions = subscribed(stack, list(damaged))
    with healthy(stack, dynamodb):
        for name, damage in damaged.items():
            (customer_id,) = stack.customers[name]
            item = {"stripe_customer_id": {"S": customer_id}, "organization_id": {"S": name}} | damage
            put(dynamodb, "CustomersTable", [item])
        stack.advance(hours=3)
        for name, subscription_id in subscriptions.items():
            assert_served(stack, name, subscription_id)
        for _, damage in damages(StripeEventRecord):
            stack.simulator.account.subscriptions.update(subscriptions[name], {"description": str(damage)})
            (delivery,) = stack.simulator.webhooks.take("customer.subscription.updated")
            put(dynamodb, "StripeEventsTable", [{"event_id": {"S": delivery.event_id}} | damage])
            assert stack.deliver(delivery).outcome == "duplicate"
        stack.meter()


def test_an_hour_whose_key_is_none_is_refused_or_told(stack: Stack, dynamodb: DynamoDBClient) -> None:
    subscriptions = subscribed(stack, ["acme"])
    stack.advance(hours=3)
    with healthy(stack, dynamodb):
        keys = ("2026-11-23T08:00:00.000Z", "2026-11-23T08:30:00Z", "2026-11-23T09", "2026-11-23T09 o'clock")
        put(dynamodb, "UsageTable", [due_hour("acme") | {"window_start": {"S": key}} for key in keys])
        stack.meter()
        stack.advance(hours=3)
        assert stack.reconcile()["damaged"] == len(keys)
        assert_served(stack, "acme", subscriptions["acme"])
        assert [hour.refused is not None for hour in UsageRecord.query("acme")] == [True] * len(keys)


@pytest.mark.parametrize("due_at", ["2026-11-23T09:00:00.000Z", "2026-11-23T09:00:00+00:00", "0", "soon", "~"])
@pytest.mark.parametrize("due_shard", [None, "99", "1.5"])
def test_an_hour_that_no_run_sees_is_found_by_the_comparison(
    stack: Stack, dynamodb: DynamoDBClient, due_at: str, due_shard: str | None
) -> None:
    subscribed(stack, ["acme"])
    stack.advance(hours=3)
    with healthy(stack, dynamodb):
        marks: dict[str, Any] = {"due_at": {"S": due_at}}
        if due_shard is not None:
            marks["due_shard"] = {"N": due_shard}
        put(dynamodb, "UsageTable", [due_hour("acme", **marks)])
        stack.meter()
        stack.advance(hours=3)
        stack.reconcile()
        stack.meter()
        assert stack.differences(["acme"], HOUR, HOUR + timedelta(hours=1)) == []


@pytest.mark.parametrize("days", [0, 20])
def test_a_count_that_its_writer_did_not_make_due_is_found_by_the_comparison(stack: Stack, days: int) -> None:
    stack.subscribe("acme", at=HOUR - timedelta(days=25))
    stack.deliver_all()
    start = HOUR - timedelta(days=days)
    UsageRecord("acme", format_time(start), temperature_readings=7).save()
    stack.advance(hours=3)

    summary = stack.reconcile()
    stack.meter()

    assert (summary["repaired"], summary["damaged"]) == (1, 0)
    assert stack.differences(["acme"], start, start + timedelta(hours=1)) == []


def test_a_dry_run_makes_no_hour_due(stack: Stack) -> None:
    from billing.comparison_requests import read_request
    from billing.reconciliation.invocation import carry_out

    stack.subscribe("acme", at=HOUR)
    stack.deliver_all()
    UsageRecord("acme", WINDOW, temperature_readings=7).save()
    stack.advance(hours=3)

    assert carry_out(read_request({}), dry_run=True).repaired == 1
    assert stack.due_hours() == []


def test_readings_go_on_being_recorded_beside_a_damaged_hour(stack: Stack, dynamodb: DynamoDBClient) -> None:
    put(dynamodb, "UsageTable", [due_hour("acme", reported={"S": "nonsense"}, sending={"N": "1"})])

    record_readings("acme", 5, HOUR)

    assert stack.usage("acme", WINDOW).temperature_readings == 125
