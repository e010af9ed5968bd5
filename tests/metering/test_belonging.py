"""To which customer and period an hour belongs, or why to none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from billing.clock import format_time
from billing.metering.hour import Declaration
from billing.metering.plan import (
    meter_events,
    plan,
)
from tests.metering.values import HOUR, NOW, declared, hour, link, refused, subscription


def at(minutes: int, seconds: int = 0) -> datetime:
    return HOUR + timedelta(minutes=minutes, seconds=seconds)


@pytest.mark.parametrize(
    ("period_starts", "revision", "stamp"),
    [
        ((), 0, at(0, 1)),
        ((HOUR,), 0, at(0, 1)),
        ((at(60),), 0, at(0, 1)),
        ((at(-1), at(18, 30)), 0, at(18, 31)),
        ((at(3), at(45)), 0, at(45, 1)),
        ((at(0, 2),), 9, at(0, 12)),
        ((at(59, 57),), 0, at(59, 58)),
        ((at(59, 57),), 7, at(59, 59)),
        ((at(59, 59),), 0, at(59, 59)),
        ((), 5000, at(59, 59)),
    ],
)
def test_an_hour_is_stamped_from_the_moment_at_which_a_period_begins_in_it(
    period_starts: tuple[datetime, ...], revision: int, stamp: datetime
) -> None:
    its_link = link(subscriptions=(subscription(period_starts=period_starts),))

    declaration = plan(hour(revision=revision), its_link, NOW)

    assert isinstance(declaration, Declaration)
    assert {event.timestamp for event in meter_events(declaration)} == {int(stamp.timestamp())}


def test_corrections_are_stamped_from_the_same_moment_whatever_is_known_of_the_periods_by_then() -> None:
    first = plan(hour(), link(subscriptions=(subscription(period_starts=(at(3),)),)), NOW)
    assert isinstance(first, Declaration)
    reported = {"active_sensors": 3, "temperature_readings": 100}

    corrected = plan(
        hour(reported=reported, reported_to="cus_acme", revision=1, stamped_from=first.stamped_from), link(), NOW
    )

    assert isinstance(corrected, Declaration)
    assert [event.timestamp for event in meter_events(corrected)] == [int(at(3, 2).timestamp())]


def test_an_hour_is_refused_when_the_organisation_has_no_customer() -> None:
    assert refused(hour(), None) == "no_customer"
    assert refused(hour(), link(customer_id=None)) == "no_customer"


def test_an_hour_is_refused_when_the_subscription_had_ended_before_it() -> None:
    ended = subscription(ended_at=HOUR)
    assert refused(hour(), link(subscriptions=(ended,))) == "subscription_ended"
    ended = subscription(ended_at=HOUR + timedelta(seconds=1))
    assert isinstance(plan(hour(), link(subscriptions=(ended,)), NOW), Declaration)


def test_an_hour_is_refused_when_no_subscription_had_begun_by_its_end() -> None:
    later = subscription(started_at=HOUR + timedelta(hours=1))
    assert refused(hour(), link(subscriptions=(later,))) == "subscription_not_begun"
    within = subscription(started_at=HOUR + timedelta(minutes=59, seconds=59))
    assert isinstance(plan(hour(), link(subscriptions=(within,)), NOW), Declaration)


def test_an_hour_is_refused_when_no_checkout_was_finished() -> None:
    assert refused(hour(), link(subscriptions=())) == "no_subscription"


def test_an_hour_between_two_subscriptions_is_refused_as_after_the_first() -> None:
    ended, later = subscription(ended_at=HOUR), subscription(started_at=HOUR + timedelta(hours=2))
    refusal = plan(hour(), link(subscriptions=(later, ended)), NOW)

    assert str(refusal) == f"subscription_ended: The subscription ended at {format_time(HOUR)}"


def test_an_hour_goes_to_the_customer_of_the_subscription_that_it_belongs_to() -> None:
    earlier = subscription(customer_id="cus_before", ended_at=HOUR + timedelta(minutes=30))
    followed = subscription(subscription_id="sub_2", started_at=HOUR + timedelta(hours=1))

    declaration = plan(hour(), link(subscriptions=(followed, earlier)), NOW)
    assert isinstance(declaration, Declaration)
    assert declaration.customer_id == "cus_before"
    # Both cover it: the hour is of the one that is followed.
    began_within = replace(followed, started_at=HOUR + timedelta(minutes=45))
    declaration = plan(hour(), link(subscriptions=(began_within, earlier)), NOW)
    assert isinstance(declaration, Declaration)
    assert declaration.customer_id == "cus_acme"


def test_a_reported_hour_is_corrected_at_its_customer_when_the_organisation_has_another() -> None:
    usage_hour = hour(reported={"active_sensors": 1}, reported_to="cus_before", revision=1)

    assert {event.customer_id for event in meter_events(declared(usage_hour))} == {"cus_before"}
    assert isinstance(plan(usage_hour, link(subscriptions=()), NOW), Declaration)
    assert isinstance(plan(usage_hour, None, NOW), Declaration)
