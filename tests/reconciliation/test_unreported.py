"""What Stripe counts and was never reported from here, and what a run reports meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import record_readings
from billing.clock import format_time
from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_gateway.meter_events import meter_events
from billing.stripe_gateway.summaries import hourly_summaries
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage_counts import set_in_hour
from tests.support.due_hours import HOUR, subscribed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

from tests.support.reported import READINGS, customer_of, differences, segment_of


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
    set_in_hour("acme", format_time(seven), READINGS, 0, seven)
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


@pytest.mark.parametrize(("most_recent", "found_again"), [("arrival", 0), ("timestamp", 1)])
def test_an_event_that_somebody_else_stamped_later_is_told_again_as_long_as_it_stays_in_front(
    reported: Stack, most_recent: str, found_again: int
) -> None:
    reported.simulator.settings.update({"most_recent": most_recent})
    told_by_somebody_else(reported, customer_of(reported, "acme"), 7, HOUR + timedelta(minutes=50))

    assert reported.reconcile()["drift_events"] == 1
    for _ in range(2):
        reported.meter()
        reported.advance(hours=2)
        assert reported.reconcile()["drift_events"] == found_again
