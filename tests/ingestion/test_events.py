"""What a usage event is, and why one is refused."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.ingestion.events import CODES, RejectedUsageError, UsageEvent, read_event
from billing.ingestion.messages import read_message
from billing.ingestion.rejected import RejectedEvent, read_rejected, rejected, write_rejected
from billing.stripe_limits import FUTURE_USAGE, OLDEST_USAGE
from billing.tables.usage_events import KEPT_FOR, event_key
from tests.ingestion.arriving import NOW, SENSORS, TEN, usage_event
from tests.template.source import ROOT

MISSING = object()
NO_DATA: list[Any] = [MISSING, None, 5, [], {}, "e30=", {"value": None}]


def changed(name: str, value: Any) -> dict[str, Any]:
    event = usage_event(**{name[1:]: value}) if name.startswith("+") else usage_event() | {name: value}
    return {key: item for key, item in event.items() if item is not MISSING}


REFUSED: list[tuple[str, Any]] = [
    *(("not_a_cloud_event", changed("specversion", version)) for version in (MISSING, "0.3", 1.0, None)),
    *(("not_a_cloud_event", value) for value in (None, 5, "text", [], [usage_event()], True)),
    *(
        ("bad_identity", changed(name, value))
        for name in ("id", "source")
        for value in (MISSING, "", 5, None, "\ud800")
    ),
    *(("no_such_meter", changed("type", value)) for value in (MISSING, "", "temperature", 5, None, [], {})),
    *(("bad_organization", changed("subject", value)) for value in (MISSING, "", "a/b", ".a", "x" * 201, 5, "acme\n")),
    *(
        ("bad_time", changed("time", value))
        for value in (
            MISSING,
            None,
            1795421100,
            "",
            "2026-11-23",
            "2026-W48-1",
            "20261123T081000Z",
            "2026-11-23 08:10:00Z",
            "2026-11-23T08:10Z",
            "2026-13-23T08:10:00Z",
            "2026-11-23T24:10:00Z",
            "2026-11-23T08:10:60Z",
            "2026-11-23T08:10:00+25:00",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "٢٠٢٦-11-23T08:10:00Z",
            "2026-11-23T08:10:00Z\n",
        )
    ),
    ("no_zone", changed("time", "2026-11-23T08:10:00")),
    ("in_the_future", changed("time", (NOW + FUTURE_USAGE + timedelta(microseconds=1)).isoformat())),
    ("too_old", changed("time", (NOW - OLDEST_USAGE - timedelta(microseconds=1)).isoformat())),
    *(("no_value", changed("data", value)) for value in NO_DATA),
    *(("no_value", changed("+value", value)) for value in ("5", True, [5], {"value": 5}, None)),
    *(("too_large", changed("+value", value)) for value in (10**15, -(10**400), float("inf"), float("nan"), 1e300)),
    *(("not_whole", changed("+value", value)) for value in (1.5, -0.5, 1e-300)),
    *(("not_above_zero", changed("+value", value)) for value in (0, -0.0, -1)),
    ("below_zero", usage_event(value=-1, meter=SENSORS)),
]


@pytest.mark.parametrize(("code", "value"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_no_usage_event_is_refused_with_its_code(code: str, value: Any) -> None:
    with pytest.raises(RejectedUsageError) as raised:
        read_event(value, NOW)

    assert (raised.value.code, str(raised.value) != "") == (code, True)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-23T10:10:00Z", TEN + timedelta(minutes=10)),
        ("2026-11-23t10:10:00z", TEN + timedelta(minutes=10)),
        ("2026-11-23T23:10:00+13:00", TEN + timedelta(minutes=10)),
        ("2026-11-23T04:40:00.25-05:30", TEN + timedelta(minutes=10, milliseconds=250)),
        ("2026-11-23T10:10:00.123456789Z", TEN + timedelta(minutes=10, microseconds=123456)),
        ((NOW + FUTURE_USAGE).isoformat(), NOW + FUTURE_USAGE),
        ((NOW - OLDEST_USAGE).isoformat(), NOW - OLDEST_USAGE),
    ],
)
def test_a_time_may_be_of_any_zone_and_precision(text: str, time: datetime) -> None:
    event = read_event(changed("time", text), NOW)

    assert (event.time, event.time.tzinfo) == (time, UTC)
    assert event.window_start == f"{time:%Y-%m-%dT%H}:00:00Z"


@pytest.mark.parametrize(("value", "number"), [(1, 1), (5.0, 5), (1e14, 10**14), (10**15 - 1, 10**15 - 1)])
def test_a_value_is_a_whole_number_of_at_most_15_digits(value: float, number: int) -> None:
    event = read_event(usage_event(value=value), NOW)

    assert (event.value, type(event.value)) == (number, int)


def test_a_number_of_a_last_meter_may_be_zero() -> None:
    assert read_event(usage_event(value=0, meter=SENSORS), NOW).value == 0


def test_the_page_explains_every_code() -> None:
    page = (ROOT / "docs" / "ingestion.md").read_text(encoding="utf-8")
    table = page.split("## What is not counted\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)

    assert re.findall(r"`(\w+)`", " ".join(first_cells)) == list(CODES)


def test_an_identity_is_forgotten_only_when_its_event_can_no_longer_be_counted() -> None:
    assert KEPT_FOR > OLDEST_USAGE + FUTURE_USAGE


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_no_two_identities_have_one_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (event_key(*one) == event_key(*other)) == (one == other)
    assert 1 <= len(event_key(*one).encode()) <= 500


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "b c"), ("a b", "c")), (("a", '", "b'), ('a", "', "b")), (("x" * 999, "y"), ("x" * 998, "xy"))],
)
def test_what_is_of_the_source_is_not_taken_for_the_id(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert event_key(*one) != event_key(*other)


# Any JSON, and what Python takes for JSON beside it.
numbers = st.one_of(st.integers(), st.floats(), st.just(10**4000), st.sampled_from([1e15, 1e400, -0.0]))
surrogates = st.text(st.characters(categories=["Cs", "Lu", "Nd"]))
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(), surrogates)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5), max_leaves=20
)
events = st.fixed_dictionaries(
    {}, optional={name: json_values | st.just(value) for name, value in usage_event().items()}
)
letters = st.fixed_dictionaries({name: json_values | events for name in ("code", "reason", "rejected_at", "event")})
values = st.one_of(
    json_values, events, st.lists(events), st.fixed_dictionaries({"detail-type": scalars, "detail": events})
)


def as_body(value: Any) -> str:
    return json.dumps(value)


bodies = st.one_of(st.text(), st.one_of(values, letters).map(as_body), values.map(as_body).map(lambda body: body[:-1]))


@given(bodies)
def test_whatever_a_body_is_it_is_events_or_refused_and_fits_a_dead_letter(body: str) -> None:
    for arrival in read_message("m", body, NOW):
        if isinstance(arrival.event, UsageEvent):
            assert arrival.event.content
            continue
        assert arrival.event.code in CODES
        written = write_rejected(rejected(arrival.event.code, str(arrival.event), arrival.value, NOW))
        assert written.isascii()
        assert all(character >= " " for character in written), "what SQS takes in a message"
        # A dead letter that comes again is what was rejected, and is rejected for the same reason.
        (again, *others) = read_message("m", written, NOW)
        if isinstance(arrival.value, dict):
            assert isinstance(again.event, RejectedUsageError)
            assert (again.event.code, others) == (arrival.event.code, [])


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "{",
        "null",
        "NaN",
        '"text"',
        "[" * 100_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"specversion": 1e400}',
        '{"specversion": ' + "1" * 5000 + "}",
        '{"id": "a", "id": "b"}',
        '["\\ud800", {"\\udfff": NaN}]',
        "\x00",
        "ewo=",
    ],
)
def test_a_garbage_body_raises_nothing(body: str) -> None:
    arrivals = read_message("m", body, NOW)

    assert arrivals
    for arrival in arrivals:
        assert isinstance(arrival.event, RejectedUsageError)
        assert read_rejected(write_rejected(rejected(arrival.event.code, "", arrival.value, NOW))) is not None


def test_a_number_with_more_digits_than_python_reads_costs_its_own_event() -> None:
    body = json.dumps([usage_event("1"), usage_event("2", value=-1)]).replace('"value": -1', f'"value": {"1" * 5000}')
    first, second = read_message("m", body, NOW)

    assert isinstance(first.event, UsageEvent)
    assert isinstance(second.event, RejectedUsageError)
    assert second.event.code == "too_large"


def test_of_two_members_of_one_name_the_last_counts_every_time() -> None:
    body = json.dumps(usage_event("1")).replace('"id": "1"', '"id": "1", "id": "2"')
    (arrival,) = read_message("m", body, NOW)

    assert isinstance(arrival.event, UsageEvent)
    assert arrival.event.id == "2"


@pytest.mark.parametrize(("events_", "code"), [(100, None), (101, "too_many")])
def test_a_list_has_at_most_a_hundred_events(events_: int, code: str | None) -> None:
    arrivals = read_message("m", json.dumps([usage_event(str(number)) for number in range(events_)]), NOW)

    if code is None:
        assert [isinstance(arrival.event, UsageEvent) for arrival in arrivals] == [True] * events_
    else:
        (arrival,) = arrivals
        assert isinstance(arrival.event, RejectedUsageError)
        assert arrival.event.code == code


def test_an_empty_list_is_no_event() -> None:
    assert read_message("m", "[]", NOW) == []


def test_a_dead_letter_is_read_as_it_was_written() -> None:
    letter = RejectedEvent("not_whole", "It must be whole", "2026-11-23T12:05:00Z", usage_event(value=1.5))

    assert read_rejected(write_rejected(letter)) == letter
    assert read_rejected(json.dumps(usage_event())) is None
    assert read_rejected("no JSON") is None
