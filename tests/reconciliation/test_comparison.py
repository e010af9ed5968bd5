"""What Stripe counted against what was reported: found and repaired."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from billing.clock import format_time
from billing.comparison_requests import SUMMARY_LAG, read_request
from billing.reconciliation.invocation import carry_out
from tests.support.due_hours import HOUR, due_hour, put, subscribed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

from tests.support.reported import NINE, READINGS, customer_of, damage, differences


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
        "repaired": 0,
        "damaged": 0,
        "periods_asked_for": 0,
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


def test_hours_that_were_reported_late_are_compared_however_old_they_are(
    stack: Stack, dynamodb: DynamoDBClient
) -> None:
    subscribed(stack, dynamodb, ["acme"])
    days = (33, 20, 19, 5)
    put(dynamodb, "UsageTable", [due_hour("acme", start=HOUR - timedelta(days=day)) for day in (*days, 4)])
    stack.advance(hours=1)
    stack.meter()
    for day in days:
        start = (HOUR - timedelta(days=day)).timestamp()
        assert stack.simulator.account.meter_events.lose_hour(customer_of(stack, "acme"), READINGS, start)
    stack.advance(hours=2)

    assert stack.reconcile()["drift_events"] == len(days)
    stack.meter()
    assert differences(stack) == []
    stack.advance(hours=24)
    assert stack.reconcile()["drift_events"] == 0


def test_an_hour_reported_long_ago_is_not_compared_again(reported: Stack) -> None:
    damage(reported)
    reported.advance(hours=24 * 5)

    assert reported.reconcile()["hours"] == 0


def test_an_older_hour_is_left_when_no_run_can_repair_it_any_more(stack: Stack, dynamodb: DynamoDBClient) -> None:
    subscribed(stack, dynamodb, ["acme"])
    start = HOUR - timedelta(days=34, hours=21)
    put(dynamodb, "UsageTable", [due_hour("acme", start=start)])
    stack.advance(hours=1)
    assert stack.meter()["settled"] == 1
    stack.simulator.account.meter_events.lose_hour(customer_of(stack, "acme"), READINGS, start.timestamp())
    stack.advance(hours=1)

    assert stack.reconcile()["made_due"] == 0
