"""^C: what was done so far is said, and the exit code is 130."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from billing import record_readings
from operations import backlog
from operations.commands import reconcile, refresh, replay
from programs.local.stack import Stack
from tests.operations.conftest import START, Operate, save_refused


@pytest.fixture
def some_of_everything(stack: Stack) -> Stack:
    """Give three organisations, two refused hours, and events that were not delivered."""
    for organization_id in ("acme", "globex", "initech"):
        stack.subscribe(organization_id, at=START - timedelta(hours=3))
    stack.deliver_all()
    stack.subscribe("umbrella")
    save_refused("acme", "2026-11-20T01:00:00Z", "no_customer: none")
    save_refused("acme", "2026-11-20T02:00:00Z", "no_customer: none")
    return stack


def _interrupted_at_the_second(function: Callable[..., Any]) -> Callable[..., Any]:
    calls = 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    return interrupted


@pytest.mark.parametrize(
    ("command", "module", "name", "done"),
    [
        (["requeue-refused"], backlog, "requeue", "1 of 2 hours"),
        (["reconcile"], reconcile, "carry_out", "1 of 16 parts of the organisations"),
        (["replay-events"], replay, "deliver", "1 of 3 events"),
        (["refresh", "--all"], refresh, "refresh_organization", "1 of 4 organisations"),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_interrupted_work_says_how_much_of_it_is_done(
    some_of_everything: Stack,
    operate: Operate,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    module: Any,
    name: str,
    done: str,
    as_json: bool,
) -> None:
    monkeypatch.setattr(module, name, _interrupted_at_the_second(getattr(module, name)))

    ran = operate(*(["--json"] if as_json else []), *command)

    assert ran.code == 130
    error = ran.json["error"] if as_json else {"type": "Interrupted", "message": ran.err}
    assert error["type"] == "Interrupted"
    assert f"Interrupted: {done} are done" in error["message"]
    assert "Traceback" not in ran.err


def test_what_was_done_before_an_interruption_is_shown(
    some_of_everything: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "requeue", _interrupted_at_the_second(backlog.requeue))
    hours = operate("--json", "requeue-refused").json["hours"]
    assert [hour["outcome"] for hour in hours] == ["made_due", None]
    assert some_of_everything.due_hours() == [("acme", "2026-11-20T01:00:00Z")]


@pytest.mark.parametrize("as_json", [True, False])
def test_an_interruption_at_any_other_moment_is_one_line(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    record_readings("acme", 1, START - timedelta(hours=2))
    monkeypatch.setattr(backlog, "count_due", _interrupted_at_the_second(backlog.count_due))
    ran = operate(*(["--json"] if as_json else []), "status")
    assert ran.code == 130
    assert ran.json["error"]["type"] == "Interrupted" if as_json else ran.err == "Interrupted: by ^C\n"
