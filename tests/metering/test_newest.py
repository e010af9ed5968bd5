"""Of a `last` meter the newest number of a period is also the last that Stripe receives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import clock, get_stripe_meter_service, record_active_sensors
from billing.clock import HOUR
from billing.metering.outgoing import in_rounds

if TYPE_CHECKING:
    from programs.local.stack import Stack

SENSORS = "active_sensors"
EIGHT = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def subscribed(stack: Stack) -> str:
    """Let Stripe bill what arrives last, and return the customer of an organisation that subscribed at eight."""
    stack.simulator.settings.update({"last_across_windows": "arrival"})
    stack.simulator.clock.set(EIGHT)
    customer_id, _ = stack.subscribe("acme")
    stack.deliver_all()
    return customer_id


def billed(stack: Stack, customer_id: str) -> Any:
    events = stack.simulator.account.meter_events
    return events.aggregate(customer_id, SENSORS, EIGHT.timestamp(), (EIGHT + timedelta(days=30)).timestamp())


def run_at(stack: Stack, moment: datetime) -> None:
    stack.simulator.clock.set(moment)
    stack.meter()


@pytest.mark.parametrize("transport", ["single", "stream"])
def test_hours_that_an_outage_left_are_sent_in_their_order(
    stack: Stack, subscribed: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    for number in range(6):
        stack.simulator.clock.set(EIGHT + number * HOUR + timedelta(minutes=30))
        record_active_sensors("acme", 10 + number, clock.utc_now())
    run_at(stack, EIGHT + 6 * HOUR + timedelta(minutes=5))

    assert billed(stack, subscribed) == 15
    assert stack.due_hours() == []


def test_the_newest_number_follows_one_that_comes_late(stack: Stack, subscribed: str) -> None:
    for number in (0, 3):
        stack.simulator.clock.set(EIGHT + number * HOUR + timedelta(minutes=30))
        record_active_sensors("acme", 10 + number, clock.utc_now())
        run_at(stack, EIGHT + (number + 1) * HOUR + timedelta(minutes=5))
    stack.simulator.clock.set(EIGHT + 5 * HOUR)
    record_active_sensors("acme", 99, EIGHT + HOUR)
    run_at(stack, EIGHT + 5 * HOUR + timedelta(minutes=5))
    run_at(stack, EIGHT + 6 * HOUR + timedelta(minutes=5))

    assert billed(stack, subscribed) == 13
    assert stack.due_hours() == []


def test_a_report_of_this_hour_comes_after_the_hour_before(stack: Stack, subscribed: str) -> None:
    stack.simulator.clock.set(EIGHT + timedelta(minutes=30))
    record_active_sensors("acme", 10, clock.utc_now())
    stack.simulator.clock.set(EIGHT + HOUR + timedelta(minutes=2))
    assert get_stripe_meter_service().report_active_sensors("acme", 20).success
    run_at(stack, EIGHT + HOUR + timedelta(minutes=5))

    assert billed(stack, subscribed) == 20


def test_an_organisations_last_meter_stands_once_in_a_round() -> None:
    class Hour:
        def __init__(self, organization_id: str) -> None:
            self.declaration = self
            self.hour = self
            self.organization_id = organization_id

    class Event:
        def __init__(self, event_name: str) -> None:
            self.event_name = event_name

    events: Any = [
        (Event(name), Hour(organization_id))
        for organization_id in ("acme", "acme", "beta")
        for name in (SENSORS, "temperature_readings")
    ]

    rounds = in_rounds(events)

    assert [[events.index(pair) for pair in each] for each in rounds] == [[0, 1, 3, 4, 5], [2]]
