"""`operate rejected`: corrected events take the place of their dead letters, and no crash loses one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing.ingestion.events import read_event
from operations import dead_letters
from programs.local.stack import Stack
from tests.operations.conftest import START, Operate
from tests.operations.dead_letters import Queues
from tests.support.calls import Calls, Crash, hook
from tests.support.faults import CrashAfter, CrashBefore, Throttled


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
