from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from billing.tables.usage import UsageRecord
from programs.local.stack import Stack
from tests.operations.conftest import (
    START,
    Operate,
    record_usage,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

READINGS = "temperature_readings"


def lose_an_hour_of_three(stack: Stack) -> None:
    """Have three hours reported, the middle one of which Stripe loses the readings of."""
    customer, _ = stack.subscribe("acme", at=START - timedelta(hours=3))
    stack.deliver_all()
    record_usage("acme")
    stack.meter()
    stack.advance(hours=2)
    stack.simulator.account.meter_events.lose_hour(
        customer, "temperature_readings", int((START - timedelta(hours=2)).timestamp())
    )


def test_reconcile_finds_what_stripe_lost(stack: Stack, operate: Operate) -> None:
    lose_an_hour_of_three(stack)
    planned = operate("--json", "reconcile", "--dry-run").json
    assert (planned["hours"], planned["drift_events"], planned["made_due"]) == (3, 1, 0)
    assert stack.due_hours() == []
    done = operate("--json", "reconcile").json
    assert (done["drift_units"], done["made_due"]) == (20, 1)
    assert stack.due_hours() == [("acme", "2026-11-23T06:00:00Z")]
    stack.meter()
    assert stack.differences(["acme"], START - timedelta(days=1), START) == []
    assert "0 meter hours differ" in operate("reconcile").out


def test_a_dry_run_lists_what_the_run_finds(stack: Stack, operate: Operate) -> None:
    lose_an_hour_of_three(stack)
    UsageRecord("acme", "2026-11-23T07:00:00Z").delete()
    UsageRecord("acme", "2026-11-23T04:00:00Z", temperature_readings=8).save()

    planned = operate("--json", "reconcile", "--dry-run").json
    planned_for_people = operate("reconcile", "--dry-run").out
    done = operate("--json", "reconcile").json

    columns = ("window_start", "meter", "counted", "at_stripe", "difference", "kind")
    assert [tuple(found[name] for name in columns) for found in planned["findings"]] == [
        ("2026-11-23T04:00:00Z", READINGS, 8, None, None, "not_due"),
        ("2026-11-23T06:00:00Z", READINGS, 20, 0, -20, "differs"),
        ("2026-11-23T07:00:00Z", "active_sensors", None, 5, 5, "never_reported"),
        ("2026-11-23T07:00:00Z", READINGS, None, 30, 30, "never_reported"),
    ]
    assert done["findings"] == planned["findings"]
    rows = [line.split()[:6] for line in planned_for_people.splitlines()]
    assert ["acme", "2026-11-23T06:00:00Z", READINGS, "20", "0", "-20"] in rows
    assert "2 hours would become due" in planned_for_people
    assert [hour for _, hour in stack.due_hours()] == ["2026-11-23T04:00:00Z", "2026-11-23T06:00:00Z"]


def test_reconcile_tells_of_what_cannot_be_compared(stack: Stack, operate: Operate, dynamodb: DynamoDBClient) -> None:
    stack.subscribe("acme", at=START - timedelta(hours=3))
    stack.deliver_all()
    record_usage("acme")
    stack.meter()
    stack.advance(hours=2)
    key = {"organization_id": {"S": "acme"}, "window_start": {"S": "2026-11-23T03:00:00Z"}}
    dynamodb.put_item(TableName="UsageTable", Item=key | {"reported_at": {"S": "soon"}})
    stack.simulator.faults.add("http_500", "*/event_summaries")

    found = operate("--json", "reconcile", "--dry-run").json["findings"]

    assert [(each["kind"], each["window_start"]) for each in found] == [
        ("failed", None),
        ("damaged", "2026-11-23T03:00:00Z"),
    ]
    assert found[0]["error"].startswith("StripeUnavailableError: ")
    assert found[1]["error"] == "reported_at"


def test_reconcile_exits_with_1_when_an_organisation_could_not_be_compared(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme", at=START - timedelta(hours=3))
    stack.deliver_all()
    record_usage("acme")
    stack.meter()
    stack.advance(hours=2)
    stack.simulator.faults.add("http_500", "*/event_summaries")
    assert operate("reconcile").code == 1


def test_replay_processes_what_did_not_arrive(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    arrived, *lost = stack.simulator.webhooks.take("customer.subscription.created")
    assert stack.deliver(arrived).status == 200
    assert lost == []

    planned = operate("--json", "replay-events", "--dry-run").json
    types = [event["event_type"] for event in planned["events"]]
    assert "checkout.session.completed" in types
    assert "customer.subscription.created" not in types
    assert "product.created" not in types

    done = operate("--json", "replay-events").json
    assert {event["outcome"] for event in done["events"]} <= {"processed", "already_reflected"}
    assert {event["organization_id"] for event in done["events"]} == {"acme"}
    again = operate("--json", "replay-events").json
    assert {event["outcome"] for event in again["events"]} == {"duplicate"}


def test_replay_takes_chosen_events_snapshot_or_thin(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    snapshot = stack.simulator.webhooks.take("checkout.session.completed")[0].event_id
    thin = stack.simulator.webhooks.take("v1.customer.subscription.created")[0].event_id
    done = operate("--json", "replay-events", snapshot, thin)
    assert [event["event_id"] for event in done.json["events"]] == [snapshot, thin]
    assert done.json["events"][0]["outcome"] == "processed"
    assert stack.record("acme").status == "active"


def test_replay_goes_on_behind_an_event_that_stripe_does_not_have(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    event_id = stack.simulator.webhooks.take("checkout.session.completed")[0].event_id

    planned = operate("--json", "replay-events", "evt_nobody_has", event_id, "--dry-run")
    done = operate("--json", "replay-events", "evt_nobody_has", event_id)

    assert (planned.code, [event["outcome"] for event in planned.json["events"]]) == (1, ["failed", None])
    assert (done.code, [event["outcome"] for event in done.json["events"]]) == (1, ["failed", "processed"])
    assert done.json["events"][0]["error"].startswith("StripeNotFoundError: ")
    assert "No such event: 'evt_nobody_has'" in operate("replay-events", "evt_nobody_has").out


def test_replay_goes_on_behind_an_event_that_fails(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    stack.subscribe("globex")
    stack.simulator.faults.add("http_500", "/v1/subscriptions", nth=[1, 2, 3])
    ran = operate("--json", "replay-events")
    outcomes = [event["outcome"] for event in ran.json["events"]]
    assert ran.code == 1
    assert "failed" in outcomes
    assert outcomes.count("failed") < len(outcomes)
    assert operate("replay-events").code == 0
