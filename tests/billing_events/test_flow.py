"""What a product hears of an organisation's life: the real functions, DynamoDB Local's streams, the real handler."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import clock, may_use, record_readings
from billing.clock import format_time
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.stack import Stack, TimeLimit
from programs.local.streams import StreamPump
from tests.support.event_bus import TestBus

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


def test_a_subscription_and_its_access_are_told_with_what_was_before(
    stack: Stack, pump: StreamPump, bus: TestBus
) -> None:
    _, subscription_id = stack.subscribe("acme")
    stack.deliver_all()
    stack.simulator.account.subscriptions.cancel(subscription_id)
    stack.deliver_all()

    pump.run()

    first, last = bus.told("acme", "SubscriptionChanged")
    assert (first["before"], first["after"]["status"]) == (None, "active")
    assert (last["before"], last["after"]["status"]) == (first["after"], "canceled")
    allowed, denied = bus.told("acme", "AccessChanged")
    assert (allowed["before"], allowed["after"]) == (None, {"access": "allowed", "reason": "active", "until": None})
    assert (denied["before"], denied["after"]["reason"]) == (allowed["after"], "canceled")
    assert bus.types("acme") == ["SubscriptionChanged", "AccessChanged"] * 2
    assert (denied["stack"], denied["organization_id"], denied["version"]) == ("sensor-billing-test", "acme", "1")
    assert last["record_version"] > first["record_version"]


def test_what_changes_nothing_for_a_product_is_not_told(stack: Stack, pump: StreamPump, bus: TestBus) -> None:
    _, subscription_id = stack.subscribe("acme")
    stack.deliver_all()
    pump.run()
    told = len(bus.entries)
    stack.advance(hours=1)
    stack.simulator.account.subscriptions.update(subscription_id, {"description": "new"})
    stack.deliver_all()
    record_readings("acme", 5, clock.utc_now())

    assert pump.run() > 0
    assert len(bus.entries) == told
    assert pump.filtered > 0, "usage does not even start the function"


def test_an_hour_that_cannot_be_billed_is_told_once(stack: Stack, pump: StreamPump, bus: TestBus) -> None:
    hour = format_time(clock.hour_of(clock.utc_now()))
    record_readings("nobody", 5, clock.utc_now())
    stack.advance(hours=1)
    assert stack.meter()["refused"] == {"no_customer": 1}
    pump.run()
    record_readings("nobody", 5, clock.from_unix(clock.utc_now().timestamp() - 3600))
    stack.meter()
    pump.run()

    (refused,) = bus.told("nobody")
    assert (refused["window_start"], refused["reason"]) == (hour, "no_customer")
    assert refused["message"] == "No Stripe customer for organization"


def through_a_month(stack: Stack, *, late: int = 0) -> None:
    """Let an organisation use the service until its first period is closed; `late` readings are counted after that."""
    first_hour = clock.utc_now()
    record_readings("acme", 100, first_hour)
    stack.advance(hours=1)
    stack.meter()
    until = first_hour + timedelta(days=31, hours=12)
    while (change := stack.simulator.account.next_change_at()) is not None and clock.from_unix(change) < until:
        stack.simulator.clock.set(clock.from_unix(change))
        stack.deliver_all()
    if late:
        record_readings("acme", late, first_hour + timedelta(days=10))
        stack.meter()


def test_a_closed_invoice_is_told_with_its_numbers(stack: Stack, pump: StreamPump, bus: TestBus) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    through_a_month(stack)
    pump.run()

    closed = bus.told("acme", "InvoiceClosed")[-1]
    assert closed["meters"]["temperature_readings"] == {"counted": 100, "invoiced": 100, "carried": 0}
    assert (closed["state"], closed["agrees"], len(closed["stripe_invoice_ids"])) == ("closed", True, 1)
    assert bus.told("acme", "InvoiceDiffers") == []


def test_late_usage_that_nobody_is_billed_for_is_told(
    stack: Stack, pump: StreamPump, bus: TestBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATE_USAGE", "tell")
    stack.subscribe("acme")
    stack.deliver_all()
    through_a_month(stack, late=7)
    pump.run()

    closed = bus.told("acme", "InvoiceClosed")[-1]
    assert closed["meters"]["temperature_readings"] == {"counted": 107, "invoiced": 100, "carried": 0}
    assert closed["agrees"] is False
    assert bus.told("acme", "InvoiceDiffers")[-1]["differences"] == {"not_carried": {"temperature_readings": 7}}


def test_the_end_of_a_grace_period_is_told_without_an_event_of_stripes(
    stack: Stack, pump: StreamPump, bus: TestBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer_id, _ = stack.subscribe("acme")
    stack.deliver_all()
    stack.subscribe("other")
    stack.deliver_all()
    stack.simulator.account.customers.set_payment_outcome(customer_id, "payment_failed")
    through_a_month(stack)
    assert may_use("acme").reason == "past_due"
    until = may_use("acme").until
    assert until is not None
    version = int(stack.record("acme").version)

    stack.simulator.clock.set(until - timedelta(seconds=1))
    assert stack.events_app.handler({"scheduled_time": "now"}, TimeLimit()) == {"accesses_ended": 0}
    stack.simulator.clock.set(until)
    assert not may_use("acme"), "right though nothing has run"
    assert stack.events_app.handler({"scheduled_time": "now"}, TimeLimit()) == {"accesses_ended": 1}
    assert stack.events_app.handler({"scheduled_time": "now"}, TimeLimit()) == {"accesses_ended": 0}

    pump.run()
    changes = [change["after"] for change in bus.told("acme", "AccessChanged")]
    assert [(change["access"], change["reason"]) for change in changes] == [
        ("allowed", "active"),
        ("grace", "past_due"),
        ("denied", "past_due"),
    ]
    assert int(stack.record("acme").version) == version + 1
    assert stack.record("acme").access_until is None


def test_the_schedule_reads_only_the_records_whose_access_has_ended(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.calls import hook

    for number in range(5):
        stack.subscribe(f"acme-{number}", trial_days=number)
    stack.deliver_all()
    stack.advance(days=2)
    calls = hook(monkeypatch)

    with calls.watched():
        assert stack.events_app.handler({"scheduled_time": "now"}, TimeLimit()) == {"accesses_ended": 2}

    assert sorted(calls.names) == ["dynamodb:GetItem"] * 2 + ["dynamodb:Query"] * 3 + ["dynamodb:UpdateItem"] * 2


def test_a_webhook_that_read_the_record_before_its_access_ended_reads_it_again(stack: Stack) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    record = stack.record("acme")
    from billing.tables.subscriptions import set_access

    assert set_access(record, "denied", "past_due", None, clock.utc_now())
    assert not set_access(record, "allowed", "active", None, clock.utc_now())
    assert stack.record("acme").access == "denied"


def test_a_damaged_item_is_told_as_far_as_it_can_be_read(
    stack: Stack, pump: StreamPump, bus: TestBus, dynamodb: DynamoDBClient, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    for table, key in (
        ("SubscriptionsTable", {"organization_id": "acme"}),
        ("PeriodsTable", {"organization_id": "acme", "period": "no period"}),
        ("UsageTable", {"organization_id": "acme", "window_start": "no hour"}),
    ):
        damage(dynamodb, table, key)
    stack.subscribe("other")
    stack.deliver_all()

    pump.run()

    assert bus.types("other") == ["SubscriptionChanged", "AccessChanged"]
    assert bus.told("acme", "SubscriptionChanged")[-1]["after"]["current_period_end"] is None
    assert '"changes_damaged"' in capsys.readouterr().out


def damage(dynamodb: DynamoDBClient, table: str, key: dict[str, str]) -> None:
    """Write into an item what its attributes cannot be."""
    names = {"state": "M", "current_period_end": "S", "ends_at": "N", "refused": "S", "version": "S", "told": "S"}
    values: dict[str, Any] = {"M": {"M": {}}, "S": {"S": "what?"}, "N": {"N": "1"}}
    dynamodb.update_item(
        TableName=table,
        Key={name: {"S": text} for name, text in key.items()},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{kind}" for name, kind in names.items()),
        ExpressionAttributeNames={f"#{name}": name for name in names},
        ExpressionAttributeValues={f":{kind}": values[kind] for kind in set(names.values())},
    )


def test_a_record_that_is_deleted_is_told(stack: Stack, pump: StreamPump, bus: TestBus) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    SubscriptionRecord("acme").delete()
    pump.run()

    assert bus.told("acme", "SubscriptionChanged")[-1]["after"] is None
    assert bus.told("acme", "AccessChanged")[-1]["after"]["reason"] == "no_subscription"
