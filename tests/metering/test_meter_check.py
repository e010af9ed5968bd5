"""A meter that would bill wrongly stops the run before anything is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing.errors import MeterMisconfiguredError
from billing.metering.meter_check import check_meters
from billing.meters import METERS
from billing.stripe_gateway.objects import StripeMeter

SENSORS = StripeMeter("mtr_1", "active_sensors", "active", "last", "hour", "stripe_customer_id", "value")
READINGS = StripeMeter("mtr_2", "temperature_readings", "active", "sum", "hour", "stripe_customer_id", "value")
MORE = [
    replace(SENSORS, meter_id=f"mtr_{meter.event_name}", event_name=meter.event_name, formula=meter.formula)
    for meter in METERS
    if meter.event_name not in (SENSORS.event_name, READINGS.event_name)
]


def test_the_ids_are_returned_when_all_meters_are_right() -> None:
    other = replace(SENSORS, meter_id="mtr_3", event_name="api_calls", formula="count")

    more = {meter.event_name: meter.meter_id for meter in MORE}
    assert check_meters([other, SENSORS, READINGS, *MORE]) == {
        "active_sensors": "mtr_1",
        "temperature_readings": "mtr_2",
        **more,
    }


def test_a_raw_last_meter_is_harmless() -> None:
    assert check_meters([replace(SENSORS, event_time_window=None), READINGS, *MORE])


def test_an_inactive_meter_is_passed_over_when_an_active_one_has_its_event_name() -> None:
    archived = replace(READINGS, meter_id="mtr_0", status="inactive", event_time_window=None)

    assert check_meters([archived, SENSORS, READINGS, *MORE])["temperature_readings"] == "mtr_2"


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
        check_meters([SENSORS, faulty, *MORE])

    assert "temperature_readings" in str(raised.value)
    assert "provision" in str(raised.value)
