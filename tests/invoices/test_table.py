"""What an outage, a late reading or an end at an odd minute once cost: each with what is invoiced now."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from billing.clock import HOUR
from billing.invoices.storage import read_periods
from tests.invoices.lives import BEGIN, MONTH_1, MONTH_2, MONTH_3, READINGS, SENSORS, Life

if TYPE_CHECKING:
    from programs.local.stack import Stack

MINUTE = timedelta(minutes=1)


@pytest.mark.usefixtures("boundary")
@pytest.mark.parametrize("minute", [0, 3, 30])
def test_every_hour_around_a_renewal(stack: Stack, minute: int) -> None:
    life = Life(stack, BEGIN + minute * MINUTE)
    for renewal in (MONTH_1, MONTH_2):
        life.go_to(renewal - 3 * HOUR)
        life.count_hourly(100, 7)
        # Whichever of two invoices has the hour of a boundary, nobody is told of a difference that evens out.
        assert [period.told for period in read_periods("acme") if period.told] == []
    life.go_to(MONTH_3 + 12 * HOUR)

    assert (life.invoiced(), life.counted) == (1400, 1400)


@pytest.mark.usefixtures("boundary")
@pytest.mark.parametrize("minute", [0, 3, 30])
def test_runs_down_over_a_periods_end(stack: Stack, minute: int) -> None:
    life = Life(stack, BEGIN + minute * MINUTE)
    life.go_to(MONTH_1 - 3 * HOUR)
    life.count_hourly(100, 7, runs=False)
    life.go_to(MONTH_3 + 12 * HOUR)

    assert (life.invoiced(), life.counted) == (700, 700)


@pytest.mark.usefixtures("boundary")
def test_readings_that_come_after_the_invoice_are_on_the_next(stack: Stack) -> None:
    life = Life(stack, BEGIN + 3 * MINUTE)
    life.count(360, BEGIN + 5 * MINUTE)
    life.go_to(MONTH_1 + 6 * HOUR)
    assert life.invoiced() == 360
    life.count(500, BEGIN + 30 * HOUR)
    life.go_to(MONTH_1 + 10 * HOUR)
    life.go_to(MONTH_2 + 6 * HOUR)

    assert (life.invoiced(), life.counted) == (860, 860)


@pytest.mark.usefixtures("boundary")
@pytest.mark.parametrize("minute", [0, 3, 30])
def test_a_planned_end(stack: Stack, minute: int) -> None:
    life = Life(stack, BEGIN + minute * MINUTE)
    stack.simulator.account.subscriptions.update(life.subscription_id, {"cancel_at_period_end": "true"})
    life.go_to(MONTH_1 - 2 * HOUR)
    life.count_hourly(100, 2)
    if minute:
        life.count(100, MONTH_1)
    life.go_to(MONTH_1 + 6 * HOUR)

    assert life.invoiced() == life.counted


@pytest.mark.usefixtures("boundary")
@pytest.mark.parametrize("proration", ["create_prorations", "none"])
@pytest.mark.parametrize("minute", [0, 3, 30])
def test_a_price_that_changes_within_a_period(stack: Stack, minute: int, proration: str) -> None:
    life = Life(stack, BEGIN + minute * MINUTE)
    life.go_to(BEGIN + 100 * HOUR)
    life.count_hourly(100, 3)
    life.go_to(BEGIN + 103 * HOUR + minute * MINUTE)
    life.count(100, BEGIN + 103 * HOUR)
    life.change_price(proration)
    life.count_hourly(100, 3)
    life.go_to(MONTH_2 + 12 * HOUR)

    assert (life.invoiced(), life.counted) == (700, 700)


@pytest.mark.usefixtures("boundary")
@pytest.mark.parametrize("minute", [0, 3, 30])
def test_a_trial_is_free_and_what_comes_after_it_is_billed(stack: Stack, minute: int) -> None:
    life = Life(stack, BEGIN + minute * MINUTE, trial_days=30)
    life.count(100, BEGIN + minute * MINUTE)
    life.go_to(MONTH_1 - 2 * HOUR)
    life.count_hourly(100, 2)
    life.go_to(MONTH_1 + HOUR)
    life.count_hourly(100, 2)
    life.count(100, BEGIN + 30 * HOUR)
    life.go_to(MONTH_2 + 12 * HOUR)

    assert life.invoiced() == 200, "late readings of the trial are free as well"


def test_an_end_at_once_is_told_with_its_quantity(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.count(500, BEGIN)
    life.go_to(BEGIN + 5 * HOUR)
    stack.simulator.account.subscriptions.cancel(life.subscription_id, {})
    life.go_to(BEGIN + 100 * HOUR)

    (period,) = read_periods("acme")
    assert life.invoiced() == 0
    assert (period.state, period.told) == ("not_invoiced", {"not_invoiced": {READINGS: 500}})


@pytest.mark.usefixtures("boundary")
def test_corrections_around_a_boundary_in_the_first_seconds_of_an_hour(stack: Stack) -> None:
    life = Life(stack, BEGIN + timedelta(seconds=2))
    life.go_to(MONTH_1 + 58 * MINUTE)
    life.count(100, MONTH_1 + 5 * MINUTE)
    for hours in (1, 2):
        life.go_to(MONTH_1 + hours * HOUR + 10 * MINUTE)
        life.count(1, MONTH_1 + 5 * MINUTE)
    life.go_to(MONTH_3 + 12 * HOUR)

    assert (life.invoiced(), life.counted) == (102, 102)


def test_the_first_hour_of_a_subscription(stack: Stack) -> None:
    life = Life(stack, BEGIN + 18 * MINUTE)
    life.count(120, BEGIN + 18 * MINUTE)
    life.go_to(MONTH_1 + 6 * HOUR)

    assert life.invoiced() == 120


@pytest.mark.parametrize("holds", [False, True])
def test_sensors_that_are_recorded_once(stack: Stack, monkeypatch: pytest.MonkeyPatch, *, holds: bool) -> None:
    monkeypatch.setenv("HOLD_ACTIVE_SENSORS", "true" if holds else "")
    life = Life(stack, BEGIN + 3 * MINUTE)
    life.sensors(40, BEGIN + 4 * MINUTE)
    life.go_to(MONTH_2 + 100 * HOUR)

    assert life.invoiced(SENSORS) == (80 if holds else 40)
    missing = [period.missing for period in read_periods("acme")]
    assert missing == ([(), ()] if holds else [(), ("active_sensors",)])
