"""Which limits there can be, and which a period has reached: without a database."""

from __future__ import annotations

from typing import Any

import pytest

from billing.errors import InvalidRequestError
from billing.thresholds.limits import checked, from_text, reached, to_text

READINGS, SENSORS = "temperature_readings", "active_sensors"


def test_limits_are_in_order_and_each_once() -> None:
    assert checked({READINGS: [5, 1, 5], SENSORS: []}) == {READINGS: [1, 5]}


@pytest.mark.parametrize(
    "limits",
    [
        {"humidity": [1]},
        {READINGS: [0]},
        {READINGS: [True]},
        {READINGS: ["5"]},
        {READINGS: list(range(1, 12))},
        {READINGS: [10**15]},
    ],
)
def test_what_no_limit_can_be_is_refused(limits: Any) -> None:
    with pytest.raises(InvalidRequestError):
        checked(limits)


@pytest.mark.parametrize("text", ["", "no", "[]", '{"temperature_readings": 5}', '{"humidity": [1]}', "null"])
def test_damaged_limits_are_known_for_what_they_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_text(text)


def test_limits_are_read_as_they_are_written() -> None:
    assert from_text(to_text({READINGS: [1, 5]})) == {READINGS: [1, 5]}


def test_a_limit_is_reached_with_its_number_and_not_before() -> None:
    limits = {READINGS: [10, 20], SENSORS: [3]}
    assert reached(limits, {READINGS: 9}, {}) == {}
    assert reached(limits, {READINGS: 10}, {}) == {READINGS: {"10": 10}}
    assert reached(limits, {READINGS: 25, SENSORS: 3}, {}) == {READINGS: {"10": 25, "20": 25}, SENSORS: {"3": 3}}


def test_what_was_reached_stays_and_what_is_no_limit_any_more_is_forgotten() -> None:
    known = {READINGS: {"10": 12, "15": 15}}
    assert reached({READINGS: [10, 20]}, {READINGS: 5}, known) == {READINGS: {"10": 12}}
    assert reached({}, {READINGS: 50}, known) == {}
