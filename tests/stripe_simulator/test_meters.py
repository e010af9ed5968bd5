"""Meters: their formula and window, and which of the events count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.calls import v2_event
from tests.stripe_simulator.moments import HOUR, NOON

pytestmark = pytest.mark.enable_socket

Make = Callable[..., Any]


def test_a_newer_event_of_an_hour_overwrites_the_older_one_also_downwards(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    send(customer, 10, NOON - HOUR)
    send(customer, 4, NOON - HOUR + 1)
    send(customer, 7, NOON)
    assert simulator.account.hourly(customer, "readings") == {NOON - HOUR: 4, NOON: 7}
    assert simulator.account.billed(customer, "readings", NOON - HOUR, NOON + HOUR) == 11


def test_most_recent_means_arrival_or_timestamp_by_setting(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    send(customer, 10, NOON + 5)
    send(customer, 4, NOON)
    assert simulator.account.hourly(customer, "readings") == {NOON: 4}
    simulator.settings.most_recent = "timestamp"
    assert simulator.account.hourly(customer, "readings") == {NOON: 10}
    send(customer, 3, NOON + 5)
    assert simulator.account.hourly(customer, "readings") == {NOON: 3}


def test_a_raw_sum_meter_counts_every_event(simulator: Simulator, make_meter: Make, send: Make, customer: str) -> None:
    assert make_meter(window=None).event_time_window is None
    send(customer, 10)
    send(customer, 10)
    assert simulator.account.hourly(customer, "readings") == {NOON: 20}


def test_last_and_count_meters_follow_their_formula(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter("sensors", "last")
    make_meter("logins", "count", None)
    for hour, value in ((0, 5), (1, 9), (2, 3)):
        send(customer, value, NOON - hour * HOUR, event_name="sensors")
        send(customer, value, NOON - hour * HOUR, event_name="logins")
    assert simulator.account.billed(customer, "sensors", NOON - 2 * HOUR, NOON + 1) == 5
    assert simulator.account.billed(customer, "sensors", NOON - 2 * HOUR, NOON) == 9
    assert simulator.account.billed(customer, "logins", NOON - 2 * HOUR, NOON + 1) == 3


def test_a_day_window_keeps_the_most_recent_event_of_the_day(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter(window="day")
    send(customer, 10, NOON - 11 * HOUR)
    send(customer, 4, NOON)
    assert simulator.account.hourly(customer, "readings") == {NOON: 4}


def test_a_deactivated_meter_takes_no_events_until_it_is_reactivated(
    client: stripe.StripeClient, make_meter: Make, send: Make, customer: str
) -> None:
    meter = make_meter()
    assert client.v1.billing.meters.deactivate(meter.id).status == "inactive"
    with pytest.raises(stripe.InvalidRequestError, match="No active meter found"):
        send(customer, 1)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v2.billing.meter_events.create(v2_event(customer, 1, "a"))  # type: ignore[arg-type]
    assert caught.value.code == "archived_meter"
    assert client.v1.billing.meters.list({"status": "active"}).data == []
    client.v1.billing.meters.reactivate(meter.id)
    send(customer, 1)


def test_an_event_name_belongs_to_one_meter_and_only_its_display_name_changes(
    client: stripe.StripeClient, make_meter: Make
) -> None:
    meter = make_meter()
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        make_meter()
    assert client.v1.billing.meters.update(meter.id, {"display_name": "New"}).display_name == "New"
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        client.v1.billing.meters.update(meter.id, {"event_time_window": "day"})  # type: ignore[arg-type]


def test_an_hour_can_be_lost_or_doubled_and_a_new_event_heals_it(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    send(customer, 5, NOON, "a")
    send(customer, 6, NOON - HOUR, "b")
    assert simulator.account.meter_events.lose_hour(customer, "readings", NOON) == 1
    assert simulator.account.meter_events.double_hour(customer, "readings", NOON - HOUR) == 1
    assert simulator.account.hourly(customer, "readings") == {NOON - HOUR: 12}
    with pytest.raises(stripe.InvalidRequestError):
        send(customer, 5, NOON, "a")
    send(customer, 5, NOON, "c")
    send(customer, 6, NOON - HOUR, "d")
    assert simulator.account.hourly(customer, "readings") == {NOON - HOUR: 6, NOON: 5}
