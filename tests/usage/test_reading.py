from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.clock import format_time
from billing.metered_subscriptions import MeteredSubscription
from billing.meters import METERS, Meter
from billing.tables.periods import PeriodRecord, period_key
from billing.tables.subscriptions import SubscriptionRecord
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


def test_an_hour_that_came_after_its_invoice_is_late_until_it_changes_again(stack: Stack) -> None:
    name = METERS[0].event_name
    save_hour(counted={name: 9}, reported={name: 7}, late={name: 9})
    save_hour(counted={name: 10}, reported={name: 7}, late={name: 9}, start=HOUR + timedelta(hours=1))

    hours = usage_between("acme", HOUR, HOUR + timedelta(hours=2))

    assert [each.state for each in hours] == ["late", "unreported"]


def test_an_hour_shows_what_it_carries_beside_its_own_counts(stack: Stack) -> None:
    name = METERS[0].event_name
    save_hour(counted={name: 7}, reported={name: 12}, carried={name: 5})

    (read,) = usage_between("acme", HOUR, HOUR + timedelta(hours=1))

    assert (read.state, read.counted, read.reported, read.carried) == ("reported", {name: 7}, {name: 12}, {name: 5})


BEGAN, RENEWED = HOUR + timedelta(minutes=3), HOUR + timedelta(hours=48, minutes=3)


def save_subscription(ended_at: datetime | None = None) -> None:
    names = tuple(meter.event_name for meter in METERS)
    subscription = MeteredSubscription("sub_1", "cus_1", BEGAN, ended_at, names, (BEGAN, RENEWED))
    SubscriptionRecord("acme", metered_subscriptions=(subscription,)).save()


def save_period(starts_at: datetime, ends_at: datetime | None, state: str, *, is_last: bool = False) -> None:
    values: Any = {"stripe_customer_id": "cus_1", "starts_at": starts_at, "ends_at": ends_at, "state": state}
    key = period_key("sub_1", starts_at)
    PeriodRecord("acme", key, stripe_subscription_id="sub_1", is_last=is_last, version=1, **values).save()


def periods_of_hours(count: int) -> list[tuple[datetime, datetime | None, str] | None]:
    """Return the period of each hour before, within and around the renewal."""
    hours = [HOUR + timedelta(hours=number) for number in (-1, 0, 47, 48, 49)][:count]
    for start in hours:
        save_hour(counted={METERS[0].event_name: 1}, start=start)
    read = usage_between("acme", hours[0], hours[-1] + timedelta(hours=1))
    periods = [each.period for each in read]
    return [(each.starts_at, each.ends_at, each.state) if each is not None else None for each in periods]


def test_an_hour_belongs_to_the_period_that_begins_in_it(stack: Stack) -> None:
    save_subscription()
    save_period(BEGAN, RENEWED, "closed")

    first, second = (BEGAN, RENEWED, "closed"), (RENEWED, None, "open")
    assert periods_of_hours(5) == [None, first, first, second, second]


def test_an_hour_of_a_subscription_that_is_forgotten_belongs_to_the_period_that_has_an_item(stack: Stack) -> None:
    save_period(BEGAN, RENEWED, "not_invoiced", is_last=True)

    period = (BEGAN, RENEWED, "not_invoiced")
    assert periods_of_hours(5) == [None, period, period, period, None]


def test_a_damaged_period_is_as_if_it_had_no_item(stack: Stack) -> None:
    save_subscription()
    PeriodRecord("acme", period_key("sub_1", BEGAN), version=1, state="closed").save()

    assert periods_of_hours(2) == [None, (BEGAN, RENEWED, "open")]


def test_an_hour_after_the_subscriptions_end_has_no_period(stack: Stack) -> None:
    save_subscription(ended_at=HOUR + timedelta(hours=48, minutes=30))

    assert periods_of_hours(5)[3:] == [(RENEWED, HOUR + timedelta(hours=48, minutes=30), "open"), None]
