"""From recorded usage to Stripe's invoice, through the real handlers."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import record_active_sensors, record_readings
from billing.clock import format_time
from billing.errors import MeterMisconfiguredError
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.stack import Stack

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
END = HOUR + timedelta(days=2)


@pytest.fixture
def acme(stack: Stack) -> str:
    """Subscribe an organisation and return its customer's id."""
    customer_id, _ = stack.subscribe("acme")
    stack.deliver_all()
    return customer_id


def count_some_usage(stack: Stack, organization_id: str = "acme") -> None:
    record_active_sensors(organization_id, 3, HOUR)
    record_readings(organization_id, 120, HOUR + timedelta(minutes=1))


def readings_meter(stack: Stack) -> dict[str, Any]:
    """Return the simulator's own object of the meter, to be damaged."""
    meters = stack.simulator.account.meters.objects.values()
    return next(meter for meter in meters if meter["event_name"] == "temperature_readings")


def test_an_hour_is_billed_when_it_has_ended(stack: Stack, acme: str) -> None:
    count_some_usage(stack)
    assert stack.meter()["hours"] == 0, "the hour is still going on"

    stack.advance(hours=1)
    summary = stack.meter()

    assert summary["settled"] == 1
    assert summary["events_sent"] == 2
    assert stack.simulator.account.billed(acme, "temperature_readings", HOUR, END) == 120
    assert stack.simulator.account.billed(acme, "active_sensors", HOUR, END) == 3
    assert stack.due_hours() == []


def test_nothing_is_sent_when_nothing_changed(stack: Stack, acme: str) -> None:
    count_some_usage(stack)
    stack.advance(hours=1)
    stack.meter()
    sent = len(stack.simulator.requests.to("POST /v1/billing/meter_events"))

    assert stack.meter()["hours"] == 0
    record_active_sensors("acme", 3, HOUR)
    assert stack.meter() | {"last_problem": None} == {
        "hours": 1,
        "settled": 1,
        "events_sent": 0,
        "refused": {},
        "left": 0,
        "failures": 0,
        "complete": True,
        "last_problem": None,
    }
    assert len(stack.simulator.requests.to("POST /v1/billing/meter_events")) == sent


@pytest.mark.parametrize("most_recent", ["arrival", "timestamp"])
def test_late_readings_and_corrections_in_both_directions_reach_the_invoice(
    stack: Stack, acme: str, most_recent: str
) -> None:
    stack.simulator.settings.update({"most_recent": most_recent})
    count_some_usage(stack)
    stack.advance(hours=1)
    stack.meter()

    for sensors, late_readings in ((2, 30), (7, 1), (0, 5)):
        record_active_sensors("acme", sensors, HOUR)
        record_readings("acme", late_readings, HOUR)
        stack.meter()

    assert stack.simulator.account.billed(acme, "active_sensors", HOUR, END) == 0
    assert stack.simulator.account.billed(acme, "temperature_readings", HOUR, END) == 156
    assert stack.differences(["acme"], HOUR, END) == []


def test_an_organisation_without_a_customer_is_refused_and_billed_once_it_subscribes(stack: Stack) -> None:
    count_some_usage(stack)
    customer_id, _ = stack.subscribe("acme")
    stack.advance(hours=1)
    assert stack.meter()["refused"] == {"no_customer": 1}
    assert stack.usage("acme", format_time(HOUR)).refused == "no_customer: No Stripe customer for organization"
    assert stack.meter()["hours"] == 0, "a refused hour costs later runs nothing"

    stack.advance(days=2)
    stack.deliver_all()
    assert stack.due_hours() == [("acme", format_time(HOUR))]
    stack.meter()

    assert stack.simulator.account.billed(customer_id, "temperature_readings", HOUR, END) == 120
    assert stack.usage("acme", format_time(HOUR)).refused is None


def test_hours_after_the_end_of_a_subscription_are_refused(stack: Stack, acme: str) -> None:
    stack.simulator.account.subscriptions.cancel(stack.record("acme").stripe_subscription_id)
    stack.deliver_all()
    count_some_usage(stack)
    stack.advance(hours=1)
    record_readings("acme", 5, HOUR + timedelta(hours=1))
    stack.advance(hours=1)

    summary = stack.meter()

    assert (summary["settled"], summary["refused"]) == (1, {"subscription_ended": 1})
    assert stack.simulator.account.billed(acme, "temperature_readings", HOUR, END) == 120


@pytest.mark.parametrize(
    ("window", "formula", "says"),
    [(None, "sum", "event_time_window none"), ("hour", "count", "formula count"), ("day", "sum", "window day")],
)
def test_a_run_sends_nothing_when_a_meter_would_bill_wrongly(
    stack: Stack, acme: str, window: str | None, formula: str, says: str
) -> None:
    meter = readings_meter(stack)
    right = copy.deepcopy(meter)
    meter |= {"event_time_window": window, "default_aggregation": {"formula": formula}}
    count_some_usage(stack)
    stack.advance(hours=1)

    with pytest.raises(MeterMisconfiguredError, match=says) as raised:
        stack.meter()

    assert "temperature_readings" in str(raised.value)
    assert "provision" in str(raised.value)
    assert stack.simulator.requests.to("POST /v1/billing/meter_events") == []
    assert stack.due_hours() == [("acme", format_time(HOUR))]

    meter |= right
    stack.meter()
    assert stack.differences(["acme"], HOUR, END) == []


@pytest.mark.parametrize("code", [None, "duplicate_meter_event"])
def test_a_duplicate_identifier_is_a_success(stack: Stack, acme: str, code: str | None) -> None:
    stack.simulator.settings.duplicate_code = code
    count_some_usage(stack)
    stack.advance(hours=1)
    stack.simulator.faults.add("cut_after_effect", "/v1/billing/meter_events", limit=2)

    summary = stack.meter()

    assert (summary["settled"], summary["left"]) == (1, 0)
    sent = stack.simulator.requests.to("POST /v1/billing/meter_events")
    cut = {request.params["identifier"] for request in sent if request.fault}
    assert cut, "the answer to at least one event was lost"
    assert {request.params["identifier"] for request in sent if request.status == 400} == cut
    assert stack.differences(["acme"], HOUR, END) == []


def test_an_hour_that_could_not_be_sent_stays_due_and_is_sent_under_the_same_identifiers(
    stack: Stack, acme: str
) -> None:
    count_some_usage(stack)
    stack.advance(hours=1)
    fault = stack.simulator.faults.add("http_500", "/v1/billing/meter_events")

    assert stack.meter()["left"] == 1
    assert stack.due_hours() == [("acme", format_time(HOUR))]
    assert fault.used > 2, "it was tried more than once"

    stack.simulator.faults.clear()
    assert stack.meter()["settled"] == 1
    sent = stack.simulator.requests.to("POST /v1/billing/meter_events")
    assert len({request.params["identifier"] for request in sent}) == 2
    assert len({request.idempotency_key for request in sent}) == len(sent), "Stripe would repeat the saved 500"
    assert stack.differences(["acme"], HOUR, END) == []


def test_an_organisation_that_stripe_refuses_does_not_stop_the_others(stack: Stack, acme: str) -> None:
    gone, _ = stack.subscribe("gone")
    stack.deliver_all()
    stack.simulator.account.customers.delete(gone)
    for organization_id in ("acme", "gone"):
        count_some_usage(stack, organization_id)
    stack.advance(hours=1)

    summary = stack.meter()

    assert (summary["settled"], summary["refused"]) == (1, {"no_such_customer": 1})
    assert "No such customer" in stack.usage("gone", format_time(HOUR)).refused
    assert stack.differences(["acme"], HOUR, END) == []


def test_a_run_takes_no_new_work_when_its_time_is_nearly_over(stack: Stack, acme: str) -> None:
    count_some_usage(stack)
    stack.advance(hours=1)

    class NoTime:
        calls = 0

        def get_remaining_time_in_millis(self) -> int:
            self.calls += 1
            return 100_000 if self.calls == 1 else 1_000

    summary = stack.metering_app.handler({}, NoTime())

    assert (summary["complete"], summary["hours"]) == (False, 0)
    assert stack.due_hours() == [("acme", format_time(HOUR))]


@pytest.mark.parametrize("scheduled_time", ["soon", "2026-11-23T08:05:00"])
def test_a_malformed_schedule_is_an_error_that_says_what_is_expected(stack: Stack, scheduled_time: str) -> None:
    with pytest.raises(ValueError, match="2026-11-23T08:05:00Z"):
        stack.metering_app.handler({"scheduled_time": scheduled_time}, None)


def test_a_run_counts_up_to_the_time_the_schedule_meant(stack: Stack, acme: str) -> None:
    count_some_usage(stack)
    stack.advance(hours=3)

    assert stack.metering_app.handler({"scheduled_time": "2026-11-23T08:59:59Z"}, None)["hours"] == 0
    assert stack.metering_app.handler({"scheduled_time": "2026-11-23T09:00:00Z"}, None)["hours"] == 1


@pytest.mark.parametrize(
    ("times", "refused"),
    [
        ({}, {}),
        ({"started_at": HOUR + timedelta(minutes=59)}, {}),
        ({"started_at": HOUR + timedelta(hours=1)}, {"subscription_not_begun": 1}),
        ({"ended_at": HOUR}, {"subscription_ended": 1}),
        ({"ended_at": HOUR + timedelta(minutes=1)}, {}),
    ],
)
def test_a_record_that_no_event_has_completed_since_an_upgrade_counts_as_one_subscription(
    stack: Stack, times: dict[str, Any], refused: dict[str, int]
) -> None:
    customer_id = stack.simulator.account.customers.create({})["id"]
    followed: dict[str, Any] = {"stripe_customer_id": customer_id, "stripe_subscription_id": "sub_before", "version": 7}
    SubscriptionRecord("acme", **followed, **times).save()
    count_some_usage(stack)
    stack.advance(hours=1)

    assert stack.meter()["refused"] == refused


def test_a_record_of_a_customer_alone_is_no_subscription(stack: Stack) -> None:
    SubscriptionRecord("acme", stripe_customer_id="cus_before", version=7).save()
    count_some_usage(stack)
    stack.advance(hours=1)

    assert stack.meter()["refused"] == {"no_subscription": 1}
