"""How events are put: in calls that no failure can bring out of order, and that EventBridge takes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.billing_events.bus import BusEvent, put_in_order
from tests.support.event_bus import TestBus, takes_every_second, takes_nothing, validator_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(organization_id: str, number: int = 0, padding: int = 0) -> BusEvent:
    detail = {
        **{"version": "1", "id": f"{organization_id}/{number}", "stack": "", "organization_id": organization_id},
        **{"changed_at": "2026-11-23T12:00:00Z", "record_version": number, "is_retold": False},
        **{"window_start": "2026-11-23T08:00:00Z", "reason": "no_customer", "message": "x" * padding},
    }
    return BusEvent(organization_id, "UsageRefused", detail, NOON)


def test_a_call_takes_ten_events_and_never_two_of_an_organisation(bus: TestBus) -> None:
    events = [event(f"o{number}") for number in range(12)] + [event("a", 1), event("a", 2), event("b"), event("a", 3)]

    assert put_in_order(events) == len(events)
    assert [len(call) for call in bus.calls] == [10, 3, 2, 1]
    assert [call.count("a") for call in bus.calls] == [0, 1, 1, 1]


def test_a_call_is_no_larger_than_eventbridge_takes(bus: TestBus) -> None:
    assert put_in_order([event(f"o{number}", padding=100_000) for number in range(5)]) == 5
    assert [len(call) for call in bus.calls] == [2, 2, 1]


def test_nothing_is_put_behind_a_call_that_failed(bus: TestBus) -> None:
    bus.troubles = [None, takes_nothing]
    assert put_in_order([event("a", 1), event("a", 2), event("a", 3)]) == 1
    assert [entry["Detail"].count('"a/1"') for entry in bus.entries] == [1]


def test_the_first_that_was_not_taken_is_counted_from(bus: TestBus) -> None:
    bus.troubles = [None, takes_every_second]
    events = [event("a", 1), *(event(name, 2) for name in "abc")]

    assert put_in_order(events) == 1
    assert bus.calls == [["a"], ["b"]]


def test_an_event_goes_to_the_bus_of_the_setting(bus: TestBus, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_order([event("a")])
    monkeypatch.setenv("EVENT_BUS_NAME", "product")
    put_in_order([event("a")])

    assert [entry["EventBusName"] for entry in bus.entries] == ["default", "product"]
    assert bus.entries[0]["Time"] == NOON


def test_the_schemas_refuse_what_no_event_is() -> None:
    detail = {**event("a").detail, "more": 1}
    assert list(validator_of("UsageRefused").iter_errors(detail))
    assert list(validator_of("UsageRefused").iter_errors({**event("a").detail, "version": "2"}))
    assert list(validator_of("AccessChanged").iter_errors(event("a").detail))
