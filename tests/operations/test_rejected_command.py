"""`operate rejected`: dead letters are listed and stay, and are put back without being lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from billing.ingestion.events import read_event
from billing.ingestion.rejected import RejectedEvent, write_rejected
from operations import dead_letters
from programs.local.stack import Stack
from tests.operations.conftest import START, Operate
from tests.support.calls import Calls, Crash, hook
from tests.support.faults import CrashAfter, CrashBefore, Throttled


class Queues:
    """The usage queue and its dead-letter queue, at moto."""

    def __init__(self) -> None:
        self.client = boto3.client("sqs")
        self.usage, self.dead = (self.client.create_queue(QueueName=name)["QueueUrl"] for name in ("usage", "dead"))

    def reject(self, code: str, event: Any, reason: str = "No.") -> str:
        body = write_rejected(RejectedEvent(code, reason, "2026-11-23T08:00:00Z", event))
        return self.move(body)

    def move(self, body: str) -> str:
        """Put a message on the dead-letter queue as SQS itself does."""
        return self.client.send_message(QueueUrl=self.dead, MessageBody=body)["MessageId"]

    def visible(self, url: str) -> list[Any]:
        """Return what a consumer would get now, and leave it there."""
        found: dict[str, str] = {}
        receipts = []
        while messages := self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found[message["MessageId"]] = message["Body"]
                receipts.append(message["ReceiptHandle"])
        for receipt in receipts:
            self.client.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return [json.loads(body) for body in found.values()]

    @property
    def ids_of_usage(self) -> list[str]:
        """Return the ids of the events that wait to be counted."""
        return sorted(event["id"] for body in self.visible(self.usage) for event in _listed(body))

    @property
    def ids_of_dead(self) -> list[str]:
        """Return the ids of the events that are rejected, or that SQS moved."""
        contents = [body["event"] if "code" in body else body for body in self.visible(self.dead)]
        return sorted(event["id"] for content in contents for event in _listed(content))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def event(event_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "gateways",
        "type": "temperature_readings",
        "subject": "acme",
        "time": "2026-11-23T07:10:00Z",
        "data": {"value": 12},
        **fields,
    }


@pytest.fixture
def queues(operate: Operate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    monkeypatch.setattr(dead_letters, "CALL_SECONDS", 0)
    with mock_aws():
        made = Queues()
        monkeypatch.setenv("USAGE_QUEUE_URL", made.usage)
        monkeypatch.setenv("USAGE_DEAD_LETTER_QUEUE_URL", made.dead)
        yield made


@pytest.fixture
def some(queues: Queues) -> Queues:
    """Give three rejected events, one of another organisation, and a message that no invocation finished."""
    queues.reject("in_the_future", event("r-1", time="2026-11-24T07:10:00Z"), "Its time lies in the future")
    queues.reject("no_such_meter", event("r-2", type="humidity"))
    queues.reject("in_the_future", event("r-3", subject="globex"))
    queues.move(json.dumps([event("r-4"), event("r-5")]))
    return queues


def test_every_event_is_listed_with_its_reason_and_stays(some: Queues, operate: Operate) -> None:
    for _ in range(2):
        ran = operate("--json", "rejected")
        assert (ran.code, ran.err) == (0, "")
        assert sorted((row["code"], row["organization_id"], row["id"]) for row in ran.json["rejected"]) == [
            ("in_the_future", "acme", "r-1"),
            ("in_the_future", "globex", "r-3"),
            ("no_such_meter", "acme", "r-2"),
            ("not_processed", "acme", "r-4"),
            ("not_processed", "acme", "r-5"),
        ]
    (row,) = operate("--json", "rejected", "--id", "r-1").json["rejected"]
    assert {name: row[name] for name in ("reason", "source", "meter", "time", "value", "rejected_at", "event")} == {
        "reason": "Its time lies in the future",
        "source": "gateways",
        "meter": "temperature_readings",
        "time": "2026-11-24T07:10:00Z",
        "value": 12,
        "rejected_at": "2026-11-23T08:00:00Z",
        "event": event("r-1", time="2026-11-24T07:10:00Z"),
    }
    assert some.ids_of_dead == ["r-1", "r-2", "r-3", "r-4", "r-5"]
    assert some.ids_of_usage == []


def test_a_person_sees_a_table(some: Queues, operate: Operate) -> None:
    shown = operate("rejected").out

    assert "Its time lies in the future" in shown
    assert "not_processed" in shown
    assert "gateways r-2" in shown


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["--reason", "in_the_future"], ["r-1", "r-3"]),
        (["--reason", "not_processed"], ["r-4", "r-5"]),
        (["--organization", "globex"], ["r-3"]),
        (["--id", "r-2"], ["r-2"]),
        (["--reason", "too_old"], []),
    ],
)
def test_a_filter_is_one_of_the_list_and_of_what_is_put_back(
    some: Queues, operate: Operate, filters: list[str], ids: list[str]
) -> None:
    assert sorted(row["id"] for row in operate("--json", "rejected", *filters).json["rejected"]) == ids

    dry = operate("--json", "rejected", "--requeue", *filters, "--dry-run")
    assert sorted(row["id"] for row in dry.json["rejected"]) == ids
    assert some.ids_of_usage == []
    ran = operate("--json", "rejected", "--requeue", *filters)

    assert (ran.code, ran.json["put_back"]) == (0, len(ids))
    assert some.ids_of_usage == ids
    assert some.ids_of_dead == sorted({"r-1", "r-2", "r-3", "r-4", "r-5"} - set(ids))


def test_nothing_rejected_is_said(queues: Queues, operate: Operate) -> None:
    assert operate("rejected").out == "No usage event is rejected.\n"
    assert operate("--json", "rejected").json == {"rejected": []}
    assert operate("rejected", "--requeue").out == "0 of 0 events are put back.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--reason", "tired"],
        ["--requeue", "--discard", "--id", "r-1"],
        ["--discard"],
        ["--correct", "nowhere.jsonl"],
        ["--export", "no/such/folder"],
    ],
)
def test_wrong_usage_exits_with_2_and_changes_nothing(some: Queues, operate: Operate, arguments: list[str]) -> None:
    assert operate("--json", "rejected", *arguments).json["error"]["type"] == "UsageError"
    assert len(some.ids_of_dead) == 5


def test_what_is_discarded_is_gone(some: Queues, operate: Operate) -> None:
    ran = operate("rejected", "--discard", "--reason", "no_such_meter")

    assert ran.out.endswith("1 of 1 events are removed.\n")
    assert some.ids_of_dead == ["r-1", "r-3", "r-4", "r-5"]
    assert some.ids_of_usage == []


def test_what_was_sent_as_no_json_is_put_back_as_it_was(queues: Queues, operate: Operate) -> None:
    queues.reject("not_json", "temperature=12")
    operate("rejected", "--requeue")

    messages = queues.client.receive_message(QueueUrl=queues.usage)["Messages"]
    assert [message["Body"] for message in messages] == ["temperature=12"]


def test_what_a_sender_wrote_moves_no_terminals_cursor(queues: Queues, operate: Operate) -> None:
    queues.reject("no_such_meter", event("\x1b[2Jgone", type="x" * 500, subject=["a"], data=7))

    shown = operate("rejected").out
    assert "\x1b" not in shown
    assert "�[2Jgone" in shown


def test_more_than_a_page_is_listed_and_put_back_whole(
    queues: Queues, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.commands.rejected.PAGE", 20)
    names = sorted(f"r-{number:03}" for number in range(33))
    for name in names:
        queues.reject("too_old", event(name))

    assert sorted(row["id"] for row in operate("--json", "rejected").json["rejected"]) == names
    assert operate("rejected").out.count("Organisation") == 2
    assert operate("--json", "rejected", "--requeue").json["put_back"] == 33
    assert (queues.ids_of_usage, queues.ids_of_dead) == (names, [])


def test_what_is_rejected_anew_meanwhile_is_left(
    queues: Queues, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues.reject("too_old", event("r-1"))
    real = dead_letters.DeadLetterQueue.remove

    def removed(queue: dead_letters.DeadLetterQueue, message_ids: list[str]) -> None:
        real(queue, message_ids)
        # The function is quick: it has rejected the event again, under another message.
        queue.opened_at = queue.opened_at.replace(year=2020)
        queues.reject("too_old", event("r-1"))

    monkeypatch.setattr(dead_letters.DeadLetterQueue, "remove", removed)

    assert operate("--json", "rejected", "--requeue").json["put_back"] == 1
    assert queues.ids_of_dead == ["r-1"]


# --- correcting


def exported(operate: Operate, path: Path, *filters: str) -> list[dict[str, Any]]:
    assert operate("rejected", "--export", str(path), *filters).code == 0
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_what_was_exported_and_corrected_is_put_back_in_its_place(
    some: Queues, stack: Stack, operate: Operate, tmp_path: Path
) -> None:
    path = tmp_path / "rejected.jsonl"
    (line,) = exported(operate, path, "--reason", "no_such_meter")
    line["event"]["type"] = "active_sensors"
    write_lines(path, [line])

    dry = operate("--json", "rejected", "--correct", str(path), "--dry-run")
    assert [(row["id"], row["meter"], row["outcome"]) for row in dry.json["rejected"]] == [
        ("r-2", "active_sensors", None)
    ]
    ran = operate("--json", "rejected", "--correct", str(path))

    assert (ran.code, ran.json["put_back"]) == (0, 1)
    (body,) = some.visible(some.usage)
    assert read_event(body, START).meter.event_name == "active_sensors"
    assert some.ids_of_dead == ["r-1", "r-3", "r-4", "r-5"]
    again = operate("--json", "rejected", "--correct", str(path))
    assert (again.code, [row["outcome"] for row in again.json["rejected"]]) == (0, ["not_there"])
    assert some.ids_of_usage == ["r-2"]


def test_what_would_be_rejected_again_is_told_by_line_and_nothing_is_put_back(
    some: Queues, stack: Stack, operate: Operate, tmp_path: Path
) -> None:
    path = tmp_path / "rejected.jsonl"
    lines = exported(operate, path)
    write_lines(path, lines)
    path.write_text(path.read_text() + '{"message_id": "x"}\nnothing\n')
    wrong = 1 + next(number for number, line in enumerate(lines) if line["code"] == "no_such_meter")

    ran = operate("rejected", "--correct", str(path))

    assert ran.code == 1
    assert "Nothing was put back" in ran.err
    assert f"line {wrong}: no_such_meter" in ran.err
    assert "line 5: no object with message_id" in ran.err
    assert "line 6: no JSON" in ran.err
    assert (some.ids_of_usage, len(some.ids_of_dead)) == ([], 5)


# --- what fails


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, some: Queues) -> Calls:
    return hook(monkeypatch)


@pytest.mark.parametrize("fault", [CrashBefore(), CrashAfter()], ids=repr)
@pytest.mark.parametrize("number", range(8))
def test_no_crash_loses_an_event(
    some: Queues, calls: Calls, operate: Operate, monkeypatch: pytest.MonkeyPatch, number: int, fault: Any
) -> None:
    # What a crash leaves hidden is visible again by itself.
    monkeypatch.setattr(dead_letters, "HIDDEN_SECONDS", 0)
    with calls.watched(lambda position, call: fault if position == number else None), pytest.raises(Crash):
        operate("rejected", "--requeue")

    assert {*some.ids_of_usage, *some.ids_of_dead} == {"r-1", "r-2", "r-3", "r-4", "r-5"}
    monkeypatch.setattr(dead_letters, "HIDDEN_SECONDS", 600)
    operate("rejected", "--requeue")
    assert set(some.ids_of_usage) == {"r-1", "r-2", "r-3", "r-4", "r-5"}
    assert some.ids_of_dead == []


def test_what_the_usage_queue_does_not_take_stays_and_is_told(some: Queues, calls: Calls, operate: Operate) -> None:
    with calls.watched(lambda number, call: Throttled() if call.operation == "SendMessage" else None):
        ran = operate("--json", "rejected", "--requeue")

    assert ran.code == 1
    assert {row["outcome"] for row in ran.json["rejected"]} == {"failed"}
    assert (some.ids_of_usage, len(some.ids_of_dead)) == ([], 5)


@pytest.mark.parametrize("arguments", [["rejected"], ["rejected", "--requeue"]])
@pytest.mark.parametrize("as_json", [True, False])
def test_an_interrupted_look_says_so_and_leaves_the_rest_visible(
    some: Queues, operate: Operate, monkeypatch: pytest.MonkeyPatch, arguments: list[str], as_json: bool
) -> None:
    real = dead_letters.DeadLetterQueue._pages

    def interrupted(queue: dead_letters.DeadLetterQueue) -> Iterator[list[dead_letters.DeadLetter]]:
        yield from [next(real(queue))[:1]]
        raise KeyboardInterrupt

    monkeypatch.setattr(dead_letters.DeadLetterQueue, "_pages", interrupted)
    ran = operate(*(["--json"] if as_json else []), *arguments)

    assert ran.code == 130
    error = ran.json["error"]["message"] if as_json else ran.err
    assert ("1 of 4 messages are done" if "--requeue" in arguments else "not the whole list") in error
    assert len({*some.ids_of_dead, *some.ids_of_usage}) == 5
