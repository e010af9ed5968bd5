"""Why a line says 360: the hours, the corrections and the sum, for every scenario of docs/invoices.md."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from billing import clock
from billing.clock import HOUR, format_time
from billing.invoices.differences import differences
from billing.invoices.reasons import Reason, read_reasons
from billing.metered_subscriptions import BillingPeriod
from billing.periods import InvoiceOfPeriod, Period
from tests.invoices.explained import explanations
from tests.invoices.lives import BEGIN, MONTH_1, MONTH_2, MONTH_3, READINGS, SENSORS, Life, late_life, set_count

if TYPE_CHECKING:
    from billing.invoices.explanation import ExplainedLine
    from programs.local.stack import Stack

MINUTE = timedelta(minutes=1)


def codes(line: ExplainedLine) -> list[str]:
    return [remark.code for remark in line.remarks]


def test_a_line_is_the_sum_of_its_hours(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    for hour, (readings, sensors) in enumerate([(120, 7), (240, 5)]):
        life.go_to(BEGIN + hour * HOUR)
        life.count(readings, clock.utc_now())
        life.sensors(sensors, clock.utc_now())
    life.go_to(MONTH_1 + 6 * HOUR)

    first, current = explanations("acme")
    line, number = first.line(READINGS), first.line(SENSORS)
    assert (line.counted, line.total, line.invoiced, line.agrees) == (360, 360, 360, True)
    # Of the numbers of sensors the newest is the line.
    assert [hour.billed.get(SENSORS) for hour in first.hours] == [None, 5]
    assert (number.counted, number.invoiced, number.agrees) == (5, 5, True)
    assert (codes(line), codes(number)) == ([], [])
    seen = [hour.unchanged_since for hour in first.hours]
    assert [each[READINGS] for each in seen] == ["2026-11-23T11:05:00Z", "2026-11-23T12:05:00Z"]
    assert (codes(current.line(READINGS)), current.line(READINGS).agrees) == (["open"], None)


def test_what_came_late_is_on_the_next_invoice_and_both_say_so(stack: Stack) -> None:
    life = late_life(stack, MONTH_1 + 10 * HOUR)

    first, current = (each.line(READINGS) for each in explanations("acme"))
    assert (first.counted, first.moved, first.total, first.invoiced, first.agrees) == (860, 500, 360, 360, True)
    assert codes(first) == ["on_other_invoices"]
    assert format_time(MONTH_1) in first.remarks[0].text
    assert (current.counted, current.carried_in) == (0, 500)
    life.count(11, MONTH_1 + 9 * HOUR)
    life.go_to(MONTH_2 + 6 * HOUR)

    first, second, _ = (each.line(READINGS) for each in explanations("acme"))
    assert (second.counted, second.carried_in, second.total, second.invoiced) == (11, 500, 511, 511)
    (reason,) = second.reasons
    assert (reason.difference, reason.late_hours) == (500, (format_time(BEGIN + 30 * HOUR),))
    assert set(reason.invoices) == set(first.by_invoice)
    (invoice_id,) = second.by_invoice
    assert invoice_id in first.remarks[0].text


def test_a_correction_has_its_history(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.count(100, BEGIN)
    life.go_to(BEGIN + 3 * HOUR)
    life.count(20, BEGIN)
    life.go_to(MONTH_1 + 6 * HOUR)
    life.count(1, BEGIN)
    life.go_to(MONTH_1 + 12 * HOUR)

    ((hour,), _) = (each.hours for each in explanations("acme"))
    assert [number for _, number in hour.numbers(READINGS)] == [100, 120, 121]
    assert [entry.kind for entry in hour.history] == ["reported", "reported", "late"]
    assert (hour.state, hour.unchanged_since) == ("late", {READINGS: hour.history[-1].at})


def test_what_an_hour_carries_is_no_change_of_its_own_count(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.count(360, BEGIN)
    life.go_to(MONTH_1 + HOUR)
    life.count(7, MONTH_1 + MINUTE)
    life.go_to(MONTH_1 + 6 * HOUR)
    life.count(500, BEGIN + 30 * HOUR)
    life.go_to(MONTH_1 + 10 * HOUR)

    (hour,) = explanations("acme")[1].hours
    assert (hour.counted, hour.carried, hour.billed) == ({READINGS: 7}, {READINGS: 500}, {READINGS: 507})
    assert [entry.kind for entry in hour.history] == ["reported", "carried", "reported"]
    assert [totals for _, totals in hour.counts] == [{READINGS: 7}]
    assert hour.unchanged_since == {READINGS: format_time(MONTH_1 + HOUR + 5 * MINUTE)}


@pytest.mark.parametrize("boundary_window", ["beginning_period", "ending_period"])
def test_the_hour_of_a_boundary_is_shown_where_it_is_billed(stack: Stack, boundary_window: str) -> None:
    stack.simulator.settings.update({"boundary_window": boundary_window})
    life = Life(stack, BEGIN + 3 * MINUTE)
    for renewal in (MONTH_1, MONTH_2):
        life.go_to(renewal - 2 * HOUR)
        life.count_hourly(100, 5)
    life.go_to(MONTH_3)

    first, second, _ = explanations("acme")
    boundary_hour = format_time(MONTH_1)
    (in_first,) = (hour for hour in first.hours if hour.window_start == boundary_hour)
    (in_second,) = (hour for hour in second.hours if hour.window_start == boundary_hour)
    if boundary_window == "ending_period":
        assert (in_first.place, in_second.place) == ("here", "before")
        assert (in_first.billed, in_second.billed) == ({READINGS: 100}, {})
    else:
        assert (in_first.place, in_second.place) == ("next", "here")
        assert (in_first.billed, in_second.billed) == ({}, {READINGS: 100})


def test_an_end_at_once_says_that_nobody_is_charged(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.count(500, BEGIN)
    life.go_to(BEGIN + 5 * HOUR)
    stack.simulator.account.subscriptions.cancel(life.subscription_id, {})
    life.go_to(BEGIN + 100 * HOUR)

    (explanation,) = explanations("acme")
    line = explanation.line(READINGS)
    assert (line.counted, line.invoiced, line.agrees) == (500, 0, None)
    assert line.remarks[0].text == "500 are on no invoice, and none will follow."


def test_a_correction_downwards_that_came_too_late_does_not_agree(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.count(360, BEGIN)
    life.go_to(MONTH_1 + 6 * HOUR)
    set_count(60, BEGIN)
    life.go_to(MONTH_1 + 8 * HOUR)

    line = explanations("acme")[0].line(READINGS)
    assert (line.counted, line.total, line.invoiced, line.agrees) == (60, 60, 360, False)
    assert [(remark.code, remark.number) for remark in line.remarks] == [("too_much", -300)]


def test_a_late_number_of_sensors_does_not_agree(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.sensors(4, BEGIN)
    life.go_to(MONTH_1 + 6 * HOUR)
    life.sensors(9, BEGIN + 3 * HOUR)
    life.go_to(MONTH_1 + 8 * HOUR)

    line = explanations("acme")[0].line(SENSORS)
    assert (line.counted, line.invoiced, line.agrees, codes(line)) == (9, 4, False, ["late_number"])


def test_what_nobody_may_carry_is_on_no_invoice(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATE_USAGE", "tell")
    late_life(stack, MONTH_2 + 6 * HOUR)

    line = explanations("acme")[0].line(READINGS)
    assert (line.total, line.invoiced, line.agrees, codes(line)) == (860, 360, False, ["not_carried"])


def test_a_number_that_holds_is_marked(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLD_ACTIVE_SENSORS", "true")
    life = Life(stack, BEGIN)
    life.sensors(40, BEGIN)
    life.go_to(MONTH_2 + 6 * HOUR)

    second = explanations("acme")[1]
    assert [(hour.held, hour.billed) for hour in second.hours] == [((SENSORS,), {SENSORS: 40})]
    assert second.line(SENSORS).agrees


def test_a_trial_and_a_draft_say_what_they_are(stack: Stack) -> None:
    life = Life(stack, BEGIN, trial_days=30)
    life.count(100, BEGIN)
    life.go_to(MONTH_1 + 6 * HOUR)
    life.count(7, clock.utc_now())
    life.go_to(MONTH_2 + 20 * MINUTE)

    lines = [each.line(READINGS) for each in explanations("acme")]
    assert [codes(line) for line in lines] == [["trial"], ["draft"], ["open"]]
    assert [line.agrees for line in lines] == [None, None, None]


def test_what_is_counted_and_not_looked_at_yet_is_told(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.count(360, BEGIN)
    life.go_to(MONTH_1 + 6 * HOUR)
    life.count(40, BEGIN)

    line = explanations("acme")[0].line(READINGS)
    assert (line.total, line.invoiced, line.agrees) == (400, 360, False)
    assert [(remark.code, remark.number) for remark in line.remarks] == [("changed_since", 40)]


def test_what_does_not_balance_is_not_explained_away() -> None:
    span = BillingPeriod("sub_1", "cus_1", BEGIN, MONTH_1, is_first=True)
    invoices = {"in_1": InvoiceOfPeriod("paid", {READINGS: 360}, closes=True)}
    period = Period(span, "closed", meters=(READINGS,), counted={READINGS: 860}, invoices=invoices)
    found = differences(READINGS, 860, period, [period])

    assert (found.moved, [remark.code for remark in found.remarks]) == (0, ["unexplained"])


def test_a_reason_is_read_as_it_was_written() -> None:
    reasons = (
        Reason(READINGS, BEGIN, MONTH_1, 860, 360, ("in_1", "in_2"), ("2026-11-24T16:00:00Z", "2026-11-25T16:00:00Z")),
        Reason("odd from name", BEGIN, None, 0, 12),
    )
    assert read_reasons([str(each) for each in reasons]) == reasons
    assert read_reasons(["", "nonsense", "x from a to b: 1 counted, 2 on in_1"]) == ()


def test_a_correction_of_one_meter_is_none_of_the_other(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.sensors(4, BEGIN)
    life.go_to(BEGIN + 2 * HOUR)
    life.count(20, BEGIN)
    life.go_to(BEGIN + 4 * HOUR)

    ((hour,),) = (each.hours for each in explanations("acme"))
    assert hour.unchanged_since == {SENSORS: "2026-11-23T11:05:00Z", READINGS: "2026-11-23T12:05:00Z"}
    assert hour.numbers(READINGS) == [("2026-11-23T12:05:00Z", 20)]


def test_what_an_old_prices_line_lacks_is_missing_and_not_late(stack: Stack) -> None:
    life = Life(stack, BEGIN + 3 * MINUTE)
    life.go_to(BEGIN + 100 * HOUR)
    life.count_hourly(100, 3)
    life.go_to(BEGIN + 103 * HOUR + 3 * MINUTE)
    life.count(100, BEGIN + 103 * HOUR)
    life.change_price("none")
    life.count_hourly(100, 3)
    life.go_to(MONTH_2 + 12 * HOUR)

    first, second, _ = (each.line(READINGS) for each in explanations("acme"))
    assert (first.counted, first.invoiced + second.invoiced) == (700, 700)
    assert first.agrees
    assert first.moved == second.carried_in == 700 - first.invoiced > 0
    assert "are missing on this invoice and are charged by another" in first.remarks[0].text
