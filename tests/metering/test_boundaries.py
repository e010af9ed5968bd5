"""Billing periods that begin and end within an hour: what was counted is on the invoices, each unit once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from billing import clock, get_stripe_meter_service, record_readings
from billing.clock import hour_of
from programs.local.stack import Stack

READINGS = "temperature_readings"
DAY = datetime(2026, 11, 23, 8, tzinfo=UTC)


def live_through(stack: Stack, first: datetime, hours: int) -> int:
    """Count readings in each of some hours, run at five past each, correct one in three; return what was counted."""
    counted = 0
    for number in range(hours):
        start = hour_of(first) + timedelta(hours=number)
        stack.simulator.clock.set(max(start, clock.utc_now()))
        stack.deliver_all()
        record_readings("acme", 100, max(start, clock.utc_now()))
        counted += 100
        stack.simulator.clock.set(start + timedelta(hours=1, minutes=5))
        stack.deliver_all()
        stack.meter()
        if number % 3 == 2:
            record_readings("acme", 1, start + timedelta(minutes=59))
            counted += 1
            stack.meter()
    return counted


def is_by_the_end(setting: str, minute: int) -> bool:
    """Say whether the hour's window goes with the period that ends, whose draft is final before the run."""
    return setting == "ending_period" and minute < 5


@pytest.mark.parametrize("setting", ["timestamp", "beginning_period", "ending_period"])
@pytest.mark.parametrize(
    ("minute", "second"),
    [(0, 2), (3, 0), (59, 58), *(pytest.param(*at, marks=pytest.mark.deep) for at in ((0, 0), (4, 59), (18, 30)))],
)
def test_every_unit_is_invoiced_once_wherever_in_the_hour_a_period_ends(
    stack: Stack, setting: str, minute: int, second: int
) -> None:
    if is_by_the_end(setting, minute) and (minute, second) != (0, 0):
        pytest.skip("such a draft would have to wait for the hour's run")
    stack.simulator.settings.update({"boundary_window": setting})
    began = DAY + timedelta(minutes=minute, seconds=second)
    stack.simulator.clock.set(began)
    customer_id, _ = stack.subscribe("acme")
    counted = live_through(stack, began, 4)
    for month in (12, 1):
        renewal = began.replace(month=month, year=2026 + (month == 1))
        counted += live_through(stack, renewal - timedelta(hours=3), 7)
    stack.simulator.clock.set(datetime(2027, 3, 1, tzinfo=UTC))
    stack.deliver_all()

    quantities = stack.simulator.account.invoices.billed_quantities(customer_id, READINGS)

    assert sum(quantities.values()) == counted, quantities


@pytest.mark.parametrize("minute", [0, 3, 30])
def test_the_hour_in_which_a_subscription_ends_belongs_to_its_last_period(stack: Stack, minute: int) -> None:
    began = DAY + timedelta(minutes=minute)
    stack.simulator.clock.set(began)
    customer_id, subscription_id = stack.subscribe("acme")
    stack.simulator.account.subscriptions.update(subscription_id, {"cancel_at_period_end": "true"})
    stack.deliver_all()
    end = began.replace(month=12)
    record_readings("acme", 7, began)
    stack.simulator.clock.set(began + timedelta(hours=1, minutes=5))
    stack.meter()
    stack.simulator.clock.set(hour_of(end))
    record_readings("acme", 100, hour_of(end))
    stack.simulator.clock.set(hour_of(end) + timedelta(minutes=59))
    stack.deliver_all()
    stack.simulator.clock.set(hour_of(end) + timedelta(hours=1))
    stack.meter()

    stamps = [event.timestamp for event in stack.simulator.account.meter_events.all(customer_id, READINGS)]
    if minute == 0:
        assert len(stamps) == 1, "the hour lies after the end"
    else:
        assert stamps[-1] < end.timestamp()


def test_what_is_reported_before_a_boundary_of_its_hour_has_come_is_recorded_and_reported_after_it(
    stack: Stack,
) -> None:
    customer_id, _ = stack.subscribe("acme", at=DAY + timedelta(minutes=30))
    stack.deliver_all()
    renewal = DAY.replace(month=12)
    stack.simulator.clock.set(renewal + timedelta(minutes=5))

    early = get_stripe_meter_service().report_reading_volume("acme", 10)
    stack.simulator.clock.set(renewal + timedelta(minutes=31))
    later = get_stripe_meter_service().report_reading_volume("acme", 10)

    assert (early.success, early.recorded) == (False, True)
    assert "future" in str(early.error)
    assert (later.success, later.recorded) == (True, True)
    assert stack.simulator.account.hourly(customer_id, READINGS) == {int(renewal.timestamp()): 20}
