"""A run notes a limit that is reached, and the stream tells it: once, whatever is late, fails or is repeated."""

from __future__ import annotations

import contextlib
import random
from datetime import datetime, timedelta

import pytest

from billing import clock, record_active_sensors, record_readings
from billing.tables.subscriptions import SubscriptionRecord
from billing.thresholds.keeping import replace_thresholds, thresholds_of
from programs.local.http_api import HttpApi
from programs.local.stack import Stack
from programs.local.streams import StreamPump
from tests.support.calls import Crash, Disturbance, hook
from tests.support.event_bus import TestBus
from tests.support.faults import CRASHES

READINGS, SENSORS = "temperature_readings", "active_sensors"


@pytest.fixture
def start(stack: Stack) -> datetime:
    """Subscribe an organisation; return the start of the hour after that."""
    stack.subscribe("acme")
    stack.deliver_all()
    return clock.hour_of(clock.utc_now()) + timedelta(hours=1)


def use(stack: Stack, hour: datetime, readings: int = 0, sensors: int = 0) -> None:
    """Record usage of an hour that has ended, and let a run send it."""
    if clock.utc_now() < hour + timedelta(hours=1, minutes=5):
        stack.simulator.clock.set(hour + timedelta(hours=1, minutes=5))
    if readings:
        record_readings("acme", readings, hour)
    if sensors:
        record_active_sensors("acme", sensors, hour)
    assert stack.meter()["failures"] == 0


def told(pump: StreamPump, bus: TestBus) -> list[tuple[str, int, int]]:
    pump.run()
    return [(each["meter"], each["limit"], each["counted"]) for each in bus.told("acme", "UsageThresholdReached")]


def test_a_limit_is_told_once_when_the_sum_of_the_hours_reaches_it(
    stack: Stack, pump: StreamPump, bus: TestBus, start: datetime
) -> None:
    replace_thresholds("acme", {READINGS: [100, 1000], SENSORS: [5]})
    use(stack, start, readings=60, sensors=4)
    assert told(pump, bus) == []
    use(stack, start + timedelta(hours=1), readings=50, sensors=5)
    use(stack, start + timedelta(hours=2), readings=50, sensors=2)

    assert told(pump, bus) == [(SENSORS, 5, 5), (READINGS, 100, 110)]


def test_late_usage_reaches_a_limit_too(stack: Stack, pump: StreamPump, bus: TestBus, start: datetime) -> None:
    replace_thresholds("acme", {READINGS: [100]})
    use(stack, start, readings=60)
    stack.advance(days=3)
    use(stack, start, readings=60)

    assert told(pump, bus) == [(READINGS, 100, 120)]


def test_the_next_period_begins_with_all_limits_armed(
    stack: Stack, pump: StreamPump, bus: TestBus, start: datetime
) -> None:
    replace_thresholds("acme", {READINGS: [100]})
    use(stack, start, readings=100)
    stack.advance(days=31)
    stack.deliver_all()
    use(stack, clock.hour_of(clock.utc_now()), readings=50)
    assert len(told(pump, bus)) == 1
    use(stack, clock.hour_of(clock.utc_now()), readings=50)

    assert told(pump, bus) == [(READINGS, 100, 100), (READINGS, 100, 100)]
    first, second = bus.told("acme", "UsageThresholdReached")
    assert first["period"]["ends_at"] == second["period"]["starts_at"]


def test_a_limit_that_is_new_or_set_again_is_told_anew(
    stack: Stack, pump: StreamPump, bus: TestBus, start: datetime
) -> None:
    replace_thresholds("acme", {READINGS: [100]})
    use(stack, start, readings=100)
    replace_thresholds("acme", {READINGS: [100, 110]})
    use(stack, start + timedelta(hours=1), readings=10)
    assert told(pump, bus) == [(READINGS, 100, 100), (READINGS, 110, 110)]
    replace_thresholds("acme", {})
    use(stack, start + timedelta(hours=2), readings=1)
    replace_thresholds("acme", {READINGS: [200]})
    use(stack, start + timedelta(hours=3), readings=1)
    replace_thresholds("acme", {READINGS: [100]})
    use(stack, start + timedelta(hours=4), readings=1)

    assert told(pump, bus)[2:] == [(READINGS, 100, 113)]


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: type(crash).__name__)
def test_a_run_that_dies_anywhere_loses_no_limit(
    stack: Stack, pump: StreamPump, bus: TestBus, start: datetime, monkeypatch: pytest.MonkeyPatch, crash: Disturbance
) -> None:
    calls = hook(monkeypatch)
    limits = [10 * number for number in range(1, 11)]
    replace_thresholds("acme", {READINGS: limits})
    for number in range(8):
        hour = start + timedelta(hours=number)
        stack.simulator.clock.set(hour + timedelta(hours=1, minutes=5))
        record_readings("acme", 10, hour)
        died = random.Random(number).randint(1, 12)
        disturbed = dict.fromkeys([died], crash)
        with calls.watched(lambda number, call, at=disturbed: at.get(number)), contextlib.suppress(Crash):  # type: ignore[misc]
            stack.meter()
        assert stack.meter()["failures"] == 0

    assert told(pump, bus) == [(READINGS, limit, limit) for limit in limits[:8]]


def test_an_organisation_without_limits_costs_no_call(
    stack: Stack, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = hook(monkeypatch)

    def made(hour: datetime) -> list[str]:
        stack.simulator.clock.set(hour + timedelta(hours=1, minutes=5))
        record_readings("acme", 10, hour)
        with calls.watched():
            stack.meter()
        return sorted(calls.names)

    without = made(start)
    replace_thresholds("acme", {READINGS: [1000]})
    within = made(start + timedelta(hours=1))

    assert sorted([*without, "dynamodb:Query", "dynamodb:GetItem"]) == within


def test_damaged_limits_keep_no_hour_from_being_billed(stack: Stack, start: datetime) -> None:
    SubscriptionRecord("acme").update_if([SubscriptionRecord.thresholds.set("what?")])
    stack.simulator.clock.set(start + timedelta(hours=1, minutes=5))
    record_readings("acme", 10, start)

    summary = stack.meter()
    assert (summary["settled"], summary["failures"]) == (1, 1), "and somebody is told"
    assert thresholds_of("acme") == {}


def test_limits_are_set_and_read_over_http(stack: Stack, start: datetime) -> None:
    api, path = HttpApi(), "/organizations/acme/thresholds"
    body = {"thresholds": {READINGS: [500, 100]}}

    assert api.call("PUT", path, body).body == {"organization_id": "acme", "thresholds": {READINGS: [100, 500]}}
    assert api.call("GET", path).body["thresholds"] == {READINGS: [100, 500]}
    assert api.call("PUT", path, {"thresholds": {"humidity": [1]}}).status == 422
    assert api.call("PUT", path, {"thresholds": {}}).body["thresholds"] == {}
    assert api.call("PUT", "/organizations/nobody/thresholds", body).status == 404
    assert SubscriptionRecord.of("nobody") is None
