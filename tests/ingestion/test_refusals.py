"""Hours that refuse a count, and a DynamoDB that refuses a transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing.errors import UnavailableError
from billing.ingestion import counting
from billing.ingestion.counting import count_events
from billing.ingestion.events import read_event
from billing.stripe_limits import LARGEST_VALUE
from tests.ingestion.arriving import NOW, READINGS, SENSORS, TEN, Ingestion, usage_event
from tests.support.calls import Call, hook
from tests.support.due_hours import due_hour, put
from tests.support.faults import InConflict, NoResponse, refused_by_aws

# --- hours that refuse


def test_a_damaged_hour_costs_its_own_events(ingestion: Ingestion, metrics: dict[tuple[str, str], float]) -> None:
    put(
        ingestion.dynamodb,
        "UsageTable",
        [due_hour("broken", readings=None, start=TEN, temperature_readings={"S": "x"})],
    )
    events = [
        usage_event("1", organization="broken"),
        usage_event("2", 8, organization="broken", meter=SENSORS),
        usage_event("3"),
    ]
    assert ingestion.arrive(events) == []

    assert ingestion.counted("broken", meter=SENSORS) == 8
    assert ingestion.hour("broken")[READINGS] == {"S": "x"}
    assert ingestion.counted() == 5
    assert [(letter["code"], letter["event"]["id"]) for letter in ingestion.dead_letters.letters] == [
        ("hour_damaged", "1")
    ]
    assert len(ingestion.identities()) == 2


def test_an_identity_that_its_hour_refused_is_free_for_another_event(ingestion: Ingestion) -> None:
    damaged = due_hour("broken", readings=None, start=TEN, temperature_readings={"S": "x"})
    put(ingestion.dynamodb, "UsageTable", [damaged])
    elsewhere = usage_event("1", 7, organization="broken", at=TEN - timedelta(hours=1))

    assert ingestion.arrive([usage_event("1", organization="broken"), elsewhere]) == []
    assert ingestion.counted("broken", TEN - timedelta(hours=1)) == 7
    assert ingestion.dead_letters.codes == ["hour_damaged"]


def test_an_hour_takes_what_fits_15_digits(ingestion: Ingestion) -> None:
    near = LARGEST_VALUE - 10
    put(ingestion.dynamodb, "UsageTable", [due_hour("acme", readings=near, start=TEN)])
    ingestion.arrive([usage_event("1", 6), usage_event("2", LARGEST_VALUE), usage_event("3", 4), usage_event("4", 1)])

    assert ingestion.counted() == LARGEST_VALUE
    assert [letter["event"]["id"] for letter in ingestion.dead_letters.letters] == ["2", "4"]
    assert set(ingestion.dead_letters.codes) == {"hour_full"}


def test_events_that_are_too_much_together_are_counted_as_far_as_they_fit(ingestion: Ingestion) -> None:
    ingestion.arrive([usage_event("1", LARGEST_VALUE - 1), usage_event("2", 2), usage_event("3", 1)])

    assert ingestion.counted() == LARGEST_VALUE
    assert [letter["event"]["id"] for letter in ingestion.dead_letters.letters] == ["2"]


def test_a_damaged_identity_is_another_event(ingestion: Ingestion, metrics: dict[tuple[str, str], float]) -> None:
    ingestion.arrive(usage_event())
    (identity,) = ingestion.identities()
    ingestion.dynamodb.put_item(
        TableName="UsageEventsTable", Item={"event_key": identity["event_key"], "content": {"N": "5"}}
    )

    assert ingestion.arrive(usage_event(), usage_event("2")) == []
    assert metrics["usage_events", "conflicting"] == 1
    assert ingestion.counted() == 10


# --- DynamoDB that refuses


def test_a_contended_hour_is_tried_alone_and_comes_again_at_last(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, nobody_waits: list[int]
) -> None:
    def conflict(number: int, call: Call) -> Any:
        if call.operation != "TransactWriteItems":
            return None
        keys = [
            part["Update"]["Key"]["organization_id"]["S"] for part in call.request["TransactItems"] if "Update" in part
        ]
        return _conflict_of_hour if "hot" in keys else None

    def _conflict_of_hour(call: Call) -> Any:
        reasons = [
            {"Code": "TransactionConflict" if "hot" in str(part) else "None"} for part in call.request["TransactItems"]
        ]
        raise refused_by_aws(call, "TransactionCanceledException", CancellationReasons=reasons)

    with hook(monkeypatch).watched(conflict):
        failed = ingestion.arrive(
            usage_event("1"), usage_event("2", organization="hot"), usage_event("3", organization="b")
        )

    assert failed == ["m1"]
    assert (ingestion.counted(), ingestion.counted("b"), ingestion.counted("hot")) == (5, 5, None)
    assert nobody_waits == list(range(counting.ATTEMPTS))
    assert ingestion.arrive(usage_event("2", organization="hot")) == []
    assert ingestion.counted("hot") == 5


def test_a_transaction_that_dynamodb_cannot_read_is_tried_hour_by_hour(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, nobody_waits: list[int]
) -> None:
    def refuse(number: int, call: Call) -> Any:
        return _refused if "poison" in str(call.request) else None

    def _refused(call: Call) -> Any:
        raise refused_by_aws(call, "ValidationException")

    with hook(monkeypatch).watched(refuse):
        failed = ingestion.arrive(usage_event("1"), usage_event("2", organization="poison"))

    assert failed == ["m1"]
    assert ingestion.counted() == 5


def test_a_dynamodb_that_does_not_respond_is_not_asked_again_and_again(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = hook(monkeypatch)
    with calls.watched(lambda number, call: NoResponse(has_effect=False)) as names:
        failed = ingestion.arrive(*[usage_event(str(number), organization=f"org-{number}") for number in range(40)])

    assert len(failed) == 40
    assert names == ["dynamodb:TransactWriteItems"]


def test_events_that_could_not_be_counted_raise_what_a_later_attempt_cures(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, nobody_waits: list[int]
) -> None:
    events = [read_event(usage_event(str(number)), NOW) for number in range(3)]
    with (
        hook(monkeypatch).watched(lambda number, call: InConflict()),
        pytest.raises(UnavailableError, match="3 of 3 usage events"),
    ):
        count_events(events)

    assert count_events(events) == ["counted"] * 3
