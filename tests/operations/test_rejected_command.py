"""`operate rejected`: dead letters are listed and stay, and are put back or removed."""

from __future__ import annotations

import pytest

from operations import dead_letters
from tests.operations.conftest import Operate
from tests.operations.dead_letters import Queues, event


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
    real, rounds = dead_letters.DeadLetterQueue.remove, 0

    def removed(queue: dead_letters.DeadLetterQueue, message_ids: list[str]) -> None:
        nonlocal rounds
        real(queue, message_ids)
        # The function is quick: it has rejected the event again, under another message.
        queue.opened_at = queue.opened_at.replace(year=2020)
        if rounds < 3:
            queues.reject("too_old", event("r-1"))
        rounds += 1

    monkeypatch.setattr(dead_letters.DeadLetterQueue, "remove", removed)

    assert operate("--json", "rejected", "--requeue").json["put_back"] == 1
    assert queues.ids_of_dead == ["r-1"]
