"""The Python service: usage recorded and reported at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing import get_stripe_meter_service
from programs.local.stack import Stack
from stripe_simulator import Simulator

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
END = HOUR + timedelta(days=2)


@pytest.fixture
def acme(stack: Stack) -> str:
    """Subscribe an organisation and return its customer's id."""
    customer_id, _ = stack.subscribe("acme")
    stack.deliver_all()
    return customer_id


def test_the_service_reports_at_once(stack: Stack, acme: str) -> None:
    service = get_stripe_meter_service()

    assert service.report_active_sensors("acme", 5).success
    assert service.report_reading_volume("acme", 70).success
    assert service.report_reading_volume("acme", 75.9).success
    stack.advance(hours=1)
    earlier = service.report_active_sensors_with_timestamp("acme", 4, HOUR + timedelta(minutes=59))

    assert (earlier.success, earlier.error) == (True, None)
    assert stack.differences(["acme"], HOUR - timedelta(days=1), END) == []
    assert stack.simulator.account.hourly(acme, "active_sensors") == {int(HOUR.timestamp()): 4}
    assert stack.simulator.account.hourly(acme, "temperature_readings") == {int(HOUR.timestamp()): 145}
    assert get_stripe_meter_service() is service


def test_the_service_adds_readings_once_for_a_request_token(stack: Stack, acme: str) -> None:
    service = get_stripe_meter_service()

    for count in (10, 10):
        assert service.report_reading_volume("acme", count, request_token="message").success
    result = service.report_reading_volume("acme", 11, request_token="message")

    assert (result.success, result.recorded) == (False, False)
    assert "request_token came before with another number" in str(result.error)
    assert service.report_reading_volume("acme", -5).success, "nothing below zero is reported"
    assert stack.simulator.account.hourly(acme, "temperature_readings") == {int(HOUR.timestamp()): 10}


def test_the_service_keeps_the_number_of_the_latest_moment(stack: Stack, acme: str) -> None:
    service = get_stripe_meter_service()
    stack.advance(minutes=55)

    for minute, sensors in ((50, 7), (10, 5)):
        assert service.report_active_sensors_with_timestamp("acme", sensors, HOUR + timedelta(minutes=minute)).success

    assert stack.simulator.account.hourly(acme, "active_sensors") == {int(HOUR.timestamp()): 7}


def test_the_service_says_why_it_could_not_report(stack: Stack, simulator: Simulator, acme: str) -> None:
    service = get_stripe_meter_service()

    assert service.report_active_sensors("nobody", 5).error == "No Stripe customer for organization"
    simulator.faults.add("http_500", "/v1/billing/meter_events")
    failed = service.report_active_sensors("acme", 5)
    simulator.faults.clear()
    assert not failed.success
    assert "500" in str(failed.error)
    for sensor_count in (True, float("nan"), Decimal("sNaN"), "5", None, 10**15, 10**400, 10**5000):
        result = service.report_active_sensors("acme", sensor_count)  # type: ignore[arg-type]
        assert (result.success, result.recorded) == (False, False)
    for timestamp in (HOUR.replace(tzinfo=None), HOUR + timedelta(days=1), "now", 1e300, 0, True, float("nan"), None):
        result = service.report_active_sensors_with_timestamp("acme", 5, timestamp)  # type: ignore[arg-type]
        assert (result.success, result.recorded) == (False, False)
        assert "time" in str(result.error)
    for organization_id in ("a/b", ".acme", "x" * 201, "", None):
        result = service.report_reading_volume(organization_id, 5)  # type: ignore[arg-type]
        assert (result.success, result.recorded) == (False, False)
    simulator.account.customers.delete(acme)
    assert "No such customer" in str(service.report_active_sensors("acme", 6).error)


def test_the_service_sends_nothing_to_a_raw_meter(stack: Stack, acme: str) -> None:
    meters = stack.simulator.account.meters.objects.values()
    next(meter for meter in meters if meter["event_name"] == "temperature_readings")["event_time_window"] = None

    result = get_stripe_meter_service().report_reading_volume("acme", 10)

    assert "event_time_window" in str(result.error)
    assert stack.simulator.requests.to("POST /v1/billing/meter_events") == []
