"""Batches of messages: what comes again, what has a dead letter, and what is told of it."""

from __future__ import annotations

import io
import json
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from billing import queues
from billing.errors import ConfigurationError
from billing.ingestion.rejected import rejected, write_rejected
from billing.telemetry import logger
from tests.ingestion.arriving import NOW, TEN, Ingestion, usage_event
from tests.support.imports import modules_after
from tests.template.expanded import expand

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_the_function_imports_neither_stripe_nor_its_secret() -> None:
    modules = modules_after("import functions.usage_ingestion.app")

    assert "billing.ingestion.counting" in modules
    assert not [name for name in modules if name.split(".")[0] in ("stripe", "requests", "pydantic")]
    assert not modules & {"billing.stripe_secrets", "billing.metering", "billing.stripe_gateway"}


def test_usage_counts_before_anything_is_set_up(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRIPE_SECRET_ARN", "STRIPE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)

    assert ingestion.arrive(usage_event(value=7)) == []
    assert ingestion.counted() == 7


def test_what_is_refused_has_a_dead_letter_and_the_rest_of_its_message_counts(
    ingestion: Ingestion, metrics: dict[tuple[str, str], float]
) -> None:
    bad = usage_event("2", 1.5)
    assert ingestion.arrive([usage_event("1"), bad, usage_event("3")], "no JSON", usage_event("1")) == []

    assert ingestion.counted() == 10
    assert ingestion.dead_letters.letters == [
        {
            "code": "not_whole",
            "reason": 'Its "value" must be a whole number',
            "rejected_at": "2026-11-23T12:05:00Z",
            "event": bad,
        },
        {
            "code": "not_json",
            "reason": "The message is no JSON object, and no JSON list of objects",
            "rejected_at": "2026-11-23T12:05:00Z",
            "event": "no JSON",
        },
    ]
    assert metrics == {
        ("usage_events", "counted"): 2,
        ("usage_events", "duplicate"): 1,
        ("usage_rejected", "not_whole"): 1,
        ("usage_rejected", "not_json"): 1,
    }


def test_a_conflicting_event_is_told_and_its_content_is_not(
    ingestion: Ingestion, metrics: dict[tuple[str, str], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", output)
    ingestion.arrive(usage_event(value=7), usage_event(value=787878), usage_event("2", value=-676767))

    assert metrics["usage_events", "conflicting"] == 1
    log = output.getvalue()
    assert "have the identity of others" in log
    assert '[\\"gateway/7\\", \\"1\\"]' in log
    assert "787878" not in log
    assert "676767" not in log


def test_a_message_comes_again_when_its_dead_letter_could_not_be_sent(ingestion: Ingestion) -> None:
    ingestion.dead_letters.down = "InternalError"
    assert ingestion.arrive(usage_event("1"), [usage_event("2"), usage_event("3", 0)], usage_event("4")) == ["m1"]
    ingestion.dead_letters.down = ""
    assert ingestion.arrive([usage_event("2"), usage_event("3", 0)]) == []

    assert ingestion.counted() == 15
    assert ingestion.dead_letters.codes == ["not_above_zero"]


def test_a_missing_dead_letter_queue_is_said_by_name(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_DEAD_LETTER_QUEUE_URL", "")
    assert ingestion.arrive(usage_event()) == []

    with pytest.raises(ConfigurationError, match="USAGE_DEAD_LETTER_QUEUE_URL"):
        ingestion.arrive(usage_event(value=0))


def test_a_dead_letter_that_is_put_back_counts_what_can_be_counted_by_now(ingestion: Ingestion) -> None:
    early = usage_event(at=NOW + timedelta(hours=1))
    ingestion.arrive(early, usage_event("2", 0))
    letters = list(ingestion.dead_letters.bodies)
    ingestion.dead_letters.bodies.clear()
    ingestion.advance(hours=1)

    assert ingestion.arrive(*letters) == []
    assert ingestion.counted(start=NOW.replace(minute=0) + timedelta(hours=1)) == 5
    assert [letter["event"] for letter in ingestion.dead_letters.letters] == [usage_event("2", 0)]


def largest_body(element: str) -> str:
    limit = expand().properties("UsageQueue")["MaximumMessageSize"]
    count = (limit - 40) // (len(element.encode()) + 1)
    return '{"id": "1", "data": [' + ",".join([element] * count) + "]}"


@pytest.mark.parametrize("element", ["1e15", '"\\""', '"é"', '"😀"', '"\\n"', "1e400", '"\\\\"', "1E1", "[]"])
def test_an_event_of_a_message_near_the_limit_fits_the_dead_letter_queue(element: str) -> None:
    limit = expand().properties("UsageDeadLetterQueue")["MaximumMessageSize"]
    body = largest_body(element)

    for event in (json.loads(body), body, body[:-1]):
        assert len(write_rejected(rejected("not_a_cloud_event", "x" * 300, event, NOW)).encode()) <= limit


def test_many_and_large_dead_letters_are_sent_in_calls_that_sqs_takes(ingestion: Ingestion) -> None:
    large = [json.dumps({"id": str(number), "data": "x" * 250_000}) for number in range(9)]
    assert ingestion.arrive(*large, [usage_event(str(number), 0) for number in range(95)]) == []

    assert len(ingestion.dead_letters.bodies) == 104


def test_what_is_not_begun_in_time_comes_again(ingestion: Ingestion) -> None:
    bodies = [usage_event(str(number), 1, organization=f"org-{number}") for number in range(150)]

    failed = ingestion.arrive(*bodies, usage_event("bad", 0), remaining_ms=0)
    assert failed == [f"m{number}" for number in range(150)]
    assert ingestion.dead_letters.codes == ["not_above_zero"]
    assert ingestion.arrive(*bodies) == []
    assert [ingestion.counted(f"org-{number}") for number in range(150)] == [1] * 150


def test_messages_that_sqs_does_not_take_are_named_by_their_position(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(client: Any, operation: str, request: Mapping[str, Any]) -> Any:
        if any(entry["MessageBody"] == "15" for entry in request["Entries"]):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, operation)
        return {"Failed": [{"Id": "3", "Code": "InternalError"}] if request["Entries"][0]["Id"] == "0" else []}

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", send)
    failed = queues.not_taken("https://sqs.example/q", [{"MessageBody": str(number)} for number in range(25)])

    assert failed == {3: "InternalError"} | dict.fromkeys(range(10, 20), "AccessDenied")


def test_any_order_of_any_company_counts_each_event_once(ingestion: Ingestion) -> None:
    choice = random.Random(5)
    events = [
        usage_event(
            str(number), number + 1, organization=f"org-{number % 7}", at=TEN + timedelta(minutes=choice.randrange(120))
        )
        for number in range(200)
    ]
    for _ in range(4):
        waiting = events * 2
        choice.shuffle(waiting)
        while waiting:
            size = choice.randint(1, 100)
            body, waiting = waiting[:size], waiting[size:]
            assert ingestion.arrive(body) == []

    assert sum(
        ingestion.counted(f"org-{number}", start) or 0
        for number in range(7)
        for start in (TEN, TEN + timedelta(hours=1))
    ) == sum(range(1, 201))
