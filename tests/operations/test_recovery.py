from __future__ import annotations

from datetime import timedelta

from programs.local.stack import Stack
from tests.operations.conftest import (
    START,
    Operate,
    record_usage,
)


def test_reconcile_finds_what_stripe_lost(stack: Stack, operate: Operate) -> None:
    customer, _ = stack.subscribe("acme", at=START - timedelta(hours=3))
    stack.deliver_all()
    record_usage("acme")
    stack.meter()
    stack.advance(hours=2)
    stack.simulator.account.meter_events.lose_hour(
        customer, "temperature_readings", int((START - timedelta(hours=2)).timestamp())
    )
    planned = operate("--json", "reconcile", "--dry-run").json
    assert (planned["hours"], planned["drift_events"], planned["made_due"]) == (3, 1, 0)
    assert stack.due_hours() == []
    done = operate("--json", "reconcile").json
    assert (done["drift_units"], done["made_due"]) == (20, 1)
    assert stack.due_hours() == [("acme", "2026-11-23T06:00:00Z")]
    stack.meter()
    assert stack.differences(["acme"], START - timedelta(days=1), START) == []
    assert "0 meter hours differ" in operate("reconcile").out


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
    unknown = operate("replay-events", "evt_nobody_has")
    assert (unknown.code, unknown.err.splitlines()[0].split(":")[0]) == (1, "StripeNotFoundError")


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
