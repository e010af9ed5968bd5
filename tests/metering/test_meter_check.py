"""A meter that would bill wrongly stops the run before anything is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.errors import MeterMisconfiguredError
from billing.metering.meter_check import check_meters
from billing.stripe_gateway.objects import StripeMeter

SENSORS = StripeMeter("mtr_1", "active_sensors", "active", "last", "hour", "stripe_customer_id", "value")
READINGS = StripeMeter("mtr_2", "temperature_readings", "active", "sum", "hour", "stripe_customer_id", "value")


def test_the_ids_are_returned_when_all_meters_are_right() -> None:
    other = replace(SENSORS, meter_id="mtr_3", event_name="api_calls", formula="count")

    assert check_meters([other, SENSORS, READINGS]) == {"active_sensors": "mtr_1", "temperature_readings": "mtr_2"}


def test_a_raw_last_meter_is_harmless() -> None:
    assert check_meters([replace(SENSORS, event_time_window=None), READINGS])


def test_an_inactive_meter_is_passed_over_when_an_active_one_has_its_event_name() -> None:
    archived = replace(READINGS, meter_id="mtr_0", status="inactive", event_time_window=None)

    assert check_meters([archived, SENSORS, READINGS])["temperature_readings"] == "mtr_2"


@pytest.mark.parametrize(
    ("faulty", "says"),
    [
        (replace(READINGS, event_time_window=None), "event_time_window none, not hour"),
        (replace(READINGS, event_time_window="day"), "event_time_window day, not hour"),
        (replace(READINGS, formula="last"), "formula last, not sum"),
        (replace(READINGS, formula="count"), "formula count, not sum"),
        (replace(READINGS, status="inactive"), "not active"),
        (replace(READINGS, customer_key="customer"), "payload keys"),
        (replace(READINGS, value_key="amount"), "payload keys"),
        (replace(READINGS, event_name="readings"), "no Stripe meter temperature_readings"),
    ],
)
def test_the_run_is_refused_with_the_meter_and_the_cure_when_a_meter_is_wrong(faulty: StripeMeter, says: str) -> None:
    with pytest.raises(MeterMisconfiguredError, match=says) as raised:
        check_meters([SENSORS, faulty])

    assert "temperature_readings" in str(raised.value)
    assert "provision" in str(raised.value)
