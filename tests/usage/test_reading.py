from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.clock import format_time
from billing.meters import METERS, Meter
from billing.tables.usage import UsageRecord
from billing.usage.reading import HourOfUsage, State, totals, usage_between
from programs.local.stack import Stack

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
EIGHT = "2026-11-23T08:00:00Z"

every_meter = pytest.mark.parametrize("meter", METERS, ids=lambda meter: meter.event_name)


def hour(meter: Meter, counted: float | None, reported: int | None) -> HourOfUsage:
    return HourOfUsage(
        window_start=EIGHT,
        state="unreported",
        counted={} if counted is None else {meter.event_name: counted},
        reported={} if reported is None else {meter.event_name: reported},
        reason=None,
        reported_at=None,
    )


def save_hour(
    counted: Mapping[str, float], reported: Mapping[str, int] | None = None, start: datetime = HOUR, **attributes: Any
) -> None:
    record = UsageRecord("acme", format_time(start), reported=reported and dict(reported), **attributes)
    for name, attribute in UsageRecord.get_attributes().items():
        if attribute.attr_name in counted:
            setattr(record, name, counted[attribute.attr_name])
    record.save()


@every_meter
def test_a_total_is_made_as_the_meters_formula_says(meter: Meter) -> None:
    hours = [hour(meter, 5, 5), hour(meter, 7.5, 7), hour(meter, 3, None), hour(meter, None, None)]

    total = totals(hours)[meter.event_name]

    assert total.formula == meter.formula
    assert (total.counted, total.reported) == ((15.5, 12) if meter.formula == "sum" else (3, 7))


def test_every_meter_has_a_total_when_nothing_was_used() -> None:
    unused = totals([])

    assert list(unused) == [meter.event_name for meter in METERS]
    assert {(total.counted, total.reported) for total in unused.values()} == {(0, 0)}


# What was counted and reported of a meter, and whether Stripe has what was counted.
STATES: list[tuple[float | None, int | None, State]] = [
    (7, 7, "reported"),
    (7.9, 7, "reported"),
    (-2, 0, "reported"),
    (7, 6, "unreported"),
    (7, None, "unreported"),
    (0, None, "unreported"),
    # A count that was removed is zero.
    (None, 0, "reported"),
    (None, 7, "unreported"),
]


@every_meter
def test_an_hour_is_reported_when_stripe_has_what_was_counted(stack: Stack, meter: Meter) -> None:
    of_others: dict[str, int] = {other.event_name: 40 for other in METERS if other is not meter}
    for number, (counted, reported, _) in enumerate(STATES):
        save_hour(
            counted=of_others | ({} if counted is None else {meter.event_name: counted}),
            reported=of_others | ({} if reported is None else {meter.event_name: reported}),
            start=HOUR + timedelta(hours=number),
        )

    hours = usage_between("acme", HOUR, HOUR + timedelta(hours=len(STATES)))

    assert [each.state for each in hours] == [state for _, _, state in STATES]


def test_an_hour_says_what_becomes_of_it(stack: Stack) -> None:
    numbers = {meter.event_name: 7 for meter in METERS}
    due_at, refused = "2026-11-23T09:00:00Z", "no_customer: No Stripe customer for organization"
    cases: list[tuple[dict[str, str], State]] = [
        ({}, "reported"),
        ({"due_at": due_at}, "due"),
        ({"due_at": due_at, "refused": refused}, "due"),
        ({"refused": refused}, "refused"),
    ]
    for number, (attributes, _) in enumerate(cases):
        save_hour(counted=numbers, reported=numbers, start=HOUR + timedelta(hours=number), **attributes)

    hours = usage_between("acme", HOUR, HOUR + timedelta(hours=len(cases)))

    assert [each.state for each in hours] == [state for _, state in cases]
    assert [each.reason for each in hours] == [attributes.get("refused") for attributes, _ in cases]
    assert all(each.counted == each.reported == numbers for each in hours)


def test_what_a_former_meter_reported_makes_no_hour_unreported(stack: Stack) -> None:
    numbers = {meter.event_name: 7 for meter in METERS}
    save_hour(counted=numbers, reported=numbers | {"pressure_readings": 9})

    assert [each.state for each in usage_between("acme", HOUR, HOUR + timedelta(hours=1))] == ["reported"]


def test_usage_is_read_from_a_start_up_to_an_end(stack: Stack) -> None:
    for hours in range(-1, 3):
        save_hour(counted={METERS[0].event_name: 1}, start=HOUR + timedelta(hours=hours))

    hours_read = usage_between("acme", HOUR, HOUR + timedelta(hours=2))

    assert [each.window_start for each in hours_read] == [EIGHT, "2026-11-23T09:00:00Z"]
