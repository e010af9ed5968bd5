"""The simulator's two pages in docs/ list what the simulator has, no more and no less."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from stripe_simulator import Settings
from stripe_simulator.control import ACTIONS
from stripe_simulator.faults import KINDS
from stripe_simulator.routes import ROUTES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [(DOCS / name).read_text(encoding="utf-8") for name in ("stripe-simulator-routes.md", "stripe-simulator.md")]


def section(title: str) -> str:
    """Return the text below a heading of the second level."""
    return (
        next(page for page in PAGES if f"\n## {title}\n" in page).partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    )


def first_cells(title: str) -> list[str]:
    """Return the names in the first column of a section's tables."""
    return re.findall(r"^\| `([^`]+)`", section(title), re.MULTILINE)


def test_the_manual_lists_every_route_once() -> None:
    listed = re.findall(r"^(GET|POST|DELETE) +(/v\S+)$", section("What it responds to"), re.MULTILINE)
    assert sorted(listed) == sorted((route.method, route.path) for route in ROUTES)


def test_the_manual_lists_every_control_action_once() -> None:
    listed = [name for name in first_cells("Drive it") if "/_simulator/" in name]
    assert sorted(listed) == sorted(f"{method} /_simulator/{name}" for method, name in ACTIONS)


def test_the_manual_tells_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section("Settings"), re.MULTILINE)
    defaults = {field.name: repr(field.default).replace("'", '"') for field in fields(Settings)}
    assert dict(rows) == defaults


def test_the_manual_tells_every_kind_of_fault() -> None:
    assert first_cells("Faults") == list(KINDS)


@pytest.mark.enable_socket
def test_the_python_session_of_the_manual_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = section("With stripe-python")
    session, printed = re.findall(r"^```(?:python)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(session, {})  # noqa: S102  # the manual's own session
    assert capsys.readouterr().out == printed
