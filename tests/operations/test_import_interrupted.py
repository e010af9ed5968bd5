"""`operate import` that does not come to its end: it says how far it is, and the same again does the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from billing.errors import UnavailableError
from billing.ingestion.counting import count_events
from operations.commands import import_usage
from programs.local.stack import Stack
from tests.operations.conftest import Operate
from tests.operations.usage_lines import COUNTS, counts


def at_the_second(function: Callable[..., Any], error: BaseException, times: int = 1) -> Callable[..., Any]:
    """Return a function whose second call, and as many after it, ends in an error."""
    calls = 0

    def failing(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if 2 <= calls < 2 + times:
            raise error
        return function(*arguments, **options)

    return failing


@pytest.fixture
def two_lines_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_usage, "LINES_AT_ONCE", 2)


@pytest.mark.usefixtures("two_lines_at_once")
@pytest.mark.parametrize("as_json", [True, False])
def test_an_interrupted_import_says_how_far_it_is_and_the_same_again_does_the_rest(
    stack: Stack, operate: Operate, file: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(import_usage, "count_events", at_the_second(count_events, KeyboardInterrupt()))
        ran = operate(*(["--json"] if as_json else []), "import", str(file))

    assert ran.code == 130
    error = ran.json["error"]["message"] if as_json else ran.err
    assert "Interrupted: 2 of 6 lines are done" in error
    assert counts() == {("acme", "2026-11-22T08:00:00Z"): (42, None)}
    again = operate("--json", "import", str(file))
    assert (again.code, again.json["counted"], again.json["counted_before"]) == (0, 3, 2)
    assert counts() == COUNTS


@pytest.mark.usefixtures("two_lines_at_once")
def test_what_cannot_be_counted_for_a_while_is_tried_again(
    stack: Stack, operate: Operate, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = at_the_second(count_events, UnavailableError("throttled"), times=4)
    monkeypatch.setattr(import_usage, "count_events", failing)

    assert operate("import", str(file)).code == 0
    assert counts() == COUNTS


@pytest.mark.usefixtures("two_lines_at_once")
def test_what_cannot_be_counted_at_all_ends_the_import_where_it_is(
    stack: Stack, operate: Operate, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        failing = at_the_second(count_events, UnavailableError("throttled"), times=99)
        patch.setattr(import_usage, "count_events", failing)
        ran = operate("--json", "import", str(file))

    assert (ran.code, ran.json["counted"]) == (1, 2)
    assert "throttled" in ran.json["error"]["message"]
    assert operate("--json", "import", str(file)).json["counted"] == 3
    assert counts() == COUNTS
