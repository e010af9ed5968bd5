"""`./operate` as a program or a shell has it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from programs.local.stack import Stack
from tests.operations.conftest import record_usage

ROOT = Path(__file__).parents[2]


def _started(*arguments: str, directory: Path) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COLUMNS", "MAKEFLAGS")
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [ROOT / "operate", *arguments], stdout=pipe, stderr=pipe, text=True, env=environment, cwd=directory
    )


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Give a directory with a module that is named as one of the project's."""
    for name in ("billing", "operations", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    return tmp_path


def test_it_works_in_any_directory_and_prints_nothing_but_json(stack: Stack, elsewhere: Path) -> None:
    record_usage("acme")
    process = _started("status", "--json", directory=elsewhere)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["refused_hours"] == {}


def test_a_link_to_it_works_and_wrong_usage_is_json_and_exits_with_2(elsewhere: Path) -> None:
    link = elsewhere / "operate"
    link.symlink_to(ROOT / "operate")
    run = subprocess.run([link, "--json", "nonsense"], capture_output=True, text=True, check=False, cwd=elsewhere)
    assert (run.returncode, run.stderr) == (2, "")
    assert json.loads(run.stdout)["error"]["type"] == "UsageError"


def test_a_reader_that_goes_away_ends_it_quietly(stack: Stack, elsewhere: Path) -> None:
    record_usage("acme")
    with _started("usage", "acme", directory=elsewhere) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_what_it_promises_stands_in_the_help(elsewhere: Path) -> None:
    out, _ = _started("--help", directory=elsewhere).communicate(timeout=60)
    codes = (
        "0 success; 1 failure, of a part of the work too; 2 wrong usage; 3 doctor: something is unknown; 130 after ^C"
    )
    assert " ".join(out.split()).count(codes) == 1
