"""What is sent for an hour, and under which name: decided without I/O."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.clock import format_time
from billing.metering.hour import Declaration
from billing.metering.plan import (
    identifier,
    meter_events,
    parse_identifier,
    plan,
)
from tests.metering.values import HOUR, NOW, declared, hour, link, refused


def test_every_meter_is_sent_when_nothing_was_reported() -> None:
    events = meter_events(declared(hour()))

    assert [(event.event_name, event.value, event.customer_id) for event in events] == [
        ("active_sensors", 3, "cus_acme"),
        ("temperature_readings", 120, "cus_acme"),
    ]
    assert {event.timestamp for event in events} == {int(HOUR.timestamp()) + 1}
    assert events[1].identifier == "acme:temperature_readings:2026-11-23T08Z:r1:120"


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


def test_an_hour_is_refused_when_stripe_would_call_it_too_old() -> None:
    assert refused(hour(), link(), HOUR + timedelta(days=35)) == "too_old"
    assert isinstance(plan(hour(), link(), HOUR + timedelta(days=34, hours=23)), Declaration)


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


def test_no_organisation_can_be_called_like_the_hash_of_another() -> None:
    def text(organization_id: str) -> str:
        return identifier(organization_id, "temperature_readings", format_time(HOUR), 1, 7)

    long = "x" * 150
    impostor = text(long).partition(":")[0]

    assert impostor.startswith("sha256-")
    assert text(impostor) != text(long)


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
