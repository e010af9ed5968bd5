"""What is sent for an hour, and under which name: decided without I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.clock import format_time
from billing.metered_subscriptions import MeteredSubscription
from billing.metering.hour import Declaration, Link, Refusal, UsageHour
from billing.metering.plan import (
    identifier,
    meter_events,
    parse_identifier,
    plan,
)

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
NOW = HOUR + timedelta(hours=1, minutes=5)


def hour(**changes: Any) -> UsageHour:
    values: dict[str, Any] = {
        "organization_id": "acme",
        "window_start": format_time(HOUR),
        "counts": {"active_sensors": {"N": "3"}, "temperature_readings": {"N": "120"}},
        "version": None,
        "revision": 0,
        "reported": {},
        "reported_under": {},
        "reported_to": None,
        "was_reported": False,
        "sending": None,
        "sending_since": "",
        "doubt_until": "",
        "others_until": "",
    }
    return UsageHour(**(values | changes))


def link(**changes: Any) -> Link:
    values: dict[str, Any] = {"customer_id": "cus_acme", "subscriptions": (subscription(),), "version": 1}
    return Link(**(values | changes))


def subscription(**changes: Any) -> MeteredSubscription:
    values: dict[str, Any] = {
        "subscription_id": "sub_acme",
        "customer_id": "cus_acme",
        "started_at": HOUR - timedelta(days=9),
        "ended_at": None,
        "meters": ("active_sensors",),
    }
    return MeteredSubscription(**(values | changes))


def declared(usage_hour: UsageHour, now: datetime = NOW) -> Declaration:
    declaration = plan(usage_hour, link(), now)
    assert isinstance(declaration, Declaration)
    return declaration


def refused(usage_hour: UsageHour, its_link: Link | None, now: datetime = NOW) -> str:
    refusal = plan(usage_hour, its_link, now)
    assert isinstance(refusal, Refusal)
    return refusal.code


def test_every_meter_is_sent_when_nothing_was_reported() -> None:
    events = meter_events(declared(hour()))

    assert [(event.event_name, event.value, event.customer_id) for event in events] == [
        ("active_sensors", 3, "cus_acme"),
        ("temperature_readings", 120, "cus_acme"),
    ]
    assert {event.timestamp for event in events} == {int(HOUR.timestamp()) + 1}
    assert events[1].identifier == "acme:temperature_readings:2026-11-23T08Z:r1:120"


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


def test_only_what_changed_is_sent_when_the_rest_was_reported() -> None:
    reported = {"active_sensors": 3, "temperature_readings": 100}

    events = meter_events(declared(hour(reported=reported, reported_to="cus_acme", revision=4)))

    assert [(event.event_name, event.identifier) for event in events] == [
        ("temperature_readings", "acme:temperature_readings:2026-11-23T08Z:r5:120")
    ]


def test_nothing_is_sent_when_stripe_has_the_totals() -> None:
    reported = {"active_sensors": 3, "temperature_readings": 120}

    assert plan(hour(reported=reported, reported_to="cus_acme", revision=1), link(), NOW) is None


def test_a_meter_is_sent_as_zero_when_its_count_was_removed() -> None:
    usage_hour = hour(
        counts={"active_sensors": {"N": "3"}},
        reported={"active_sensors": 3, "temperature_readings": 120},
        reported_to="cus_acme",
        revision=1,
    )

    assert [(event.event_name, event.value) for event in meter_events(declared(usage_hour))] == [
        ("temperature_readings", 0)
    ]


@pytest.mark.parametrize(("counted", "sent"), [("7", 7), ("7.9", 7), ("-1", 0), ("-0.5", 0), ("1E+2", 100), ("0", 0)])
def test_the_value_is_whole_and_not_negative(counted: str, sent: int) -> None:
    events = meter_events(declared(hour(counts={"active_sensors": {"N": counted}})))

    assert [event.value for event in events] == [sent]


@pytest.mark.parametrize("count", [{"N": "1E+15"}, {"N": "1E+125"}, {"S": "three"}, {"NULL": True}])
def test_an_hour_is_refused_when_a_count_is_no_number_that_stripe_takes(count: dict[str, Any]) -> None:
    assert refused(hour(counts={"active_sensors": count}), link()) == "invalid_usage"


@pytest.mark.parametrize("window_start", ["2026-11-23T08:30:00Z", "2026-11-23 08:00", "", "yesterday"])
def test_an_hour_is_refused_when_its_key_is_no_whole_hour(window_start: str) -> None:
    assert refused(hour(window_start=window_start), link()) == "invalid_usage"


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


def test_an_hour_is_refused_when_stripe_would_call_it_too_old() -> None:
    assert refused(hour(), link(), HOUR + timedelta(days=35)) == "too_old"
    assert isinstance(plan(hour(), link(), HOUR + timedelta(days=34, hours=23)), Declaration)


def test_a_reported_hour_is_corrected_at_its_customer_when_the_organisation_has_another() -> None:
    usage_hour = hour(reported={"active_sensors": 1}, reported_to="cus_before", revision=1)

    assert {event.customer_id for event in meter_events(declared(usage_hour))} == {"cus_before"}
    assert isinstance(plan(usage_hour, link(subscriptions=()), NOW), Declaration)
    assert isinstance(plan(usage_hour, None, NOW), Declaration)


SENDING = {"active_sensors": 3, "temperature_readings": 120}


def test_the_same_identifiers_are_sent_again_when_a_sender_died_with_these_totals() -> None:
    usage_hour = hour(revision=7, sending=SENDING, sending_since=format_time(HOUR), reported_to="cus_acme")

    declaration = declared(usage_hour)

    assert (declaration.revision, declaration.doubt_until) == (7, "")
    assert [event.identifier for event in meter_events(declaration)] == [
        "acme:active_sensors:2026-11-23T08Z:r7:3",
        "acme:temperature_readings:2026-11-23T08Z:r7:120",
    ]


def test_every_total_gets_a_new_revision_when_a_sender_died_with_other_totals() -> None:
    usage_hour = hour(
        revision=7,
        sending={"active_sensors": 3, "temperature_readings": 99},
        sending_since=format_time(NOW - timedelta(hours=1)),
        reported={"active_sensors": 3},
        reported_to="cus_acme",
    )

    declaration = declared(usage_hour)

    assert (declaration.revision, declaration.doubt_until) == (8, "")
    assert len(meter_events(declaration)) == 2, "Stripe may hold any of the two older totals"


def test_the_hour_is_doubtful_while_the_overtaken_sender_may_be_alive() -> None:
    usage_hour = hour(
        revision=7,
        sending={"active_sensors": 1},
        sending_since=format_time(NOW - timedelta(minutes=1)),
        reported_to="cus_acme",
    )

    assert declared(usage_hour).doubt_until == format_time(NOW + timedelta(minutes=15))


def test_the_hour_is_sent_once_more_under_a_new_revision_when_the_doubt_is_over() -> None:
    usage_hour = hour(
        revision=8,
        sending=SENDING,
        sending_since=format_time(NOW - timedelta(hours=1)),
        doubt_until=format_time(NOW),
        reported_to="cus_acme",
    )

    declaration = declared(usage_hour)
    earlier = declared(usage_hour, NOW - timedelta(seconds=1))

    assert (declaration.revision, declaration.doubt_until) == (9, "")
    assert (earlier.revision, earlier.doubt_until) == (8, format_time(NOW))


def test_the_timestamp_stays_in_the_hour_when_the_revisions_are_many() -> None:
    events = meter_events(declared(hour(revision=5000)))

    assert {event.timestamp for event in events} == {int(HOUR.timestamp()) + 3599}


organizations = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)
values = st.integers(0, 10**15 - 1)
revisions = st.integers(1, 100_000)


@given(organizations, revisions, values)
def test_an_identifier_fits_and_names_its_total(organization_id: str, revision: int, value: int) -> None:
    text = identifier(organization_id, "temperature_readings", format_time(HOUR), revision, value)

    assert len(text) <= 100
    total = parse_identifier(text)
    if text.startswith(organization_id + ":temperature_readings:"):
        assert total is not None
        assert (total.organization_id, total.event_name) == (organization_id, "temperature_readings")
        assert (total.window_start, total.revision) == (format_time(HOUR), revision)
    else:
        assert total is None


@given(organizations, organizations, revisions, revisions, values, values)
def test_two_totals_never_share_an_identifier(
    one: str, other: str, revision: int, other_revision: int, value: int, other_value: int
) -> None:
    first, second = (one, revision, value), (other, other_revision, other_value)
    names = {identifier(name, "active_sensors", format_time(HOUR), *rest) for name, *rest in (first, second)}

    assert len(names) == len({first, second})


@given(st.text(max_size=120))
def test_a_foreign_identifier_is_never_an_error(text: str) -> None:
    parse_identifier(text)
