"""Meter event summaries: windows, pages, and the ingestion lag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.moments import HOUR, NOON

pytestmark = pytest.mark.enable_socket

Make = Callable[..., Any]


def test_summaries_by_hour_come_newest_first_and_in_pages(
    client: stripe.StripeClient, make_meter: Make, send: Make, customer: str
) -> None:
    meter = make_meter()
    for hour in range(5):
        send(customer, hour, NOON - hour * HOUR)
    window: Any = {"customer": customer, "start_time": NOON - 24 * HOUR, "end_time": NOON + HOUR}
    grouped = window | {"value_grouping_window": "hour"}
    first = client.v1.billing.meters.event_summaries.list(meter.id, grouped | {"limit": 2})
    assert [(one.start_time, one.aggregated_value) for one in first.data] == [(NOON, 0), (NOON - HOUR, 1)]
    assert first.has_more
    every = list(first.auto_paging_iter())
    assert [one.aggregated_value for one in every] == [0, 1, 2, 3, 4]
    assert every[0].end_time == NOON + HOUR
    (total,) = client.v1.billing.meters.event_summaries.list(meter.id, window).data
    assert (total.aggregated_value, total.start_time) == (10, NOON - 24 * HOUR)


def test_summaries_by_day_add_the_hours(
    client: stripe.StripeClient, make_meter: Make, send: Make, customer: str
) -> None:
    meter = make_meter()
    midnight = NOON - 12 * HOUR
    for timestamp in (midnight - HOUR, midnight, midnight + HOUR):
        send(customer, 3, timestamp)
    days: Any = {"customer": customer, "start_time": midnight - 24 * HOUR, "end_time": midnight + 24 * HOUR}
    listed = client.v1.billing.meters.event_summaries.list(meter.id, days | {"value_grouping_window": "day"})
    assert [(one.start_time, one.aggregated_value) for one in listed.data] == [
        (midnight, 6),
        (midnight - 24 * HOUR, 3),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"start_time": NOON - HOUR + 1},
        {"start_time": NOON - HOUR + 60, "value_grouping_window": "hour"},
        {"start_time": NOON - HOUR, "value_grouping_window": "day"},
        {"limit": 0},
        {"limit": 101},
        {"customer": "cus_x"},
        {"start_time": NOON + HOUR},
        {"value_grouping_window": "minute"},
    ],
)
def test_summaries_refuse_times_and_limits_that_do_not_fit(
    client: stripe.StripeClient, make_meter: Make, customer: str, change: dict[str, Any]
) -> None:
    meter = make_meter()
    params: Any = {"customer": customer, "start_time": NOON - HOUR, "end_time": NOON, **change}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.billing.meters.event_summaries.list(meter.id, params)


def test_summaries_and_bills_lag_behind_by_setting(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    simulator.settings.ingestion_lag_seconds = 60
    send(customer, 5)
    assert simulator.account.hourly(customer, "readings") == {}
    simulator.clock.advance(60)
    assert simulator.account.hourly(customer, "readings") == {NOON: 5}
