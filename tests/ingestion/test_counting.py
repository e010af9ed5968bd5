"""Usage events that arrive are counted once, in the hour of their time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing.ingestion.counting import count_events
from billing.ingestion.events import read_event
from billing.tables.usage import shard_of
from tests.ingestion.arriving import NOW, READINGS, SENSORS, TEN, Ingestion, usage_event


def test_an_event_is_counted_in_the_hour_of_its_time_which_is_due(ingestion: Ingestion) -> None:
    assert ingestion.arrive(usage_event(value=7)) == []

    hour = ingestion.hour()
    assert hour[READINGS] == {"N": "7"}
    assert (hour["due_shard"], hour["due_at"]) == ({"N": str(shard_of("acme"))}, {"S": "2026-11-23T11:00:00Z"})


def test_an_event_that_comes_again_is_counted_once(ingestion: Ingestion) -> None:
    for _ in range(3):
        ingestion.arrive(usage_event(value=7), usage_event(value=7))
        ingestion.arrive([usage_event(value=7), usage_event("2", 1)])
        ingestion.advance(minutes=11)

    assert ingestion.counted() == 8


def test_events_of_many_hours_and_organisations_are_counted_in_theirs(ingestion: Ingestion) -> None:
    events = [
        usage_event(
            f"{organization}-{hour}-{number}", number, organization=organization, at=TEN - timedelta(hours=hour)
        )
        for organization in ("acme", "globex", "initech")
        for hour in range(5)
        for number in range(1, 20)
    ]
    assert ingestion.arrive(*[events[start : start + 100] for start in range(0, len(events), 100)]) == []

    for organization in ("acme", "globex", "initech"):
        for hour in range(5):
            assert ingestion.counted(organization, TEN - timedelta(hours=hour)) == sum(range(20))


def test_an_hour_with_more_events_than_a_transaction_takes_is_counted_whole(ingestion: Ingestion) -> None:
    events = [usage_event(str(number), 1) for number in range(1000)]
    for _ in range(2):
        assert ingestion.arrive(*[events[start : start + 50] for start in range(0, 1000, 50)]) == []

        assert ingestion.counted() == 1000


def test_an_event_that_was_counted_is_left_out_and_the_others_are_counted(ingestion: Ingestion) -> None:
    ingestion.arrive([usage_event(str(number), 1) for number in range(0, 100, 3)])
    ingestion.arrive([usage_event(str(number), 1) for number in range(100)])

    assert ingestion.counted() == 100


@pytest.mark.parametrize("separately", [True, False], ids=["in two batches", "in one"])
def test_another_event_under_the_same_identity_is_not_counted(ingestion: Ingestion, separately: bool) -> None:
    first, second = usage_event(value=7), usage_event(value=8)
    if separately:
        ingestion.arrive(first)
        ingestion.arrive(second)
    else:
        ingestion.arrive(first, second)

    assert ingestion.counted() == 7
    assert ingestion.dead_letters.bodies == []


def outcomes(*events: dict[str, Any]) -> list[str]:
    return [str(outcome) for outcome in count_events([read_event(event, NOW) for event in events])]


def test_what_became_of_each_event_is_told_in_order(ingestion: Ingestion) -> None:
    assert outcomes(usage_event("1"), usage_event("2"), usage_event("1"), usage_event("1", 6)) == [
        "counted",
        "counted",
        "duplicate",
        "conflicting",
    ]
    # Of the identity that was counted, the second event is a duplicate and the first is not.
    assert outcomes(usage_event("1", 6), usage_event("1"), usage_event("3")) == ["conflicting", "duplicate", "counted"]
    assert ingestion.counted() == 15


def test_the_latest_number_of_an_hour_stands_in_whatever_order_they_come(ingestion: Ingestion) -> None:
    for minute, sensors in ((5, 6), (9, 7), (2, 5)):
        at = TEN + timedelta(minutes=minute)
        ingestion.arrive(usage_event(f"s{minute}", sensors, meter=SENSORS, at=at), usage_event(f"r{minute}", 10, at=at))

    assert ingestion.counted(meter=SENSORS) == 7
    assert ingestion.counted() == 30
    assert ingestion.hour()["active_sensors_at"] == {"S": "2026-11-23T10:09:00Z"}
    assert len(ingestion.identities()) == 6


def test_of_numbers_that_come_together_the_latest_to_the_microsecond_stands(ingestion: Ingestion) -> None:
    at = TEN + timedelta(minutes=5)
    ingestion.arrive(
        usage_event("1", 6, meter=SENSORS, at=at + timedelta(microseconds=2)),
        usage_event("2", 5, meter=SENSORS, at=at + timedelta(microseconds=1)),
    )

    assert ingestion.counted(meter=SENSORS) == 6
