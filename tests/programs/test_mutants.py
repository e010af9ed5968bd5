"""The list of broken promises still fits the code: `make test-mutants` would break what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from programs.mutants.mutant import Mutant
from programs.mutants.promises import MUTANTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_the_code_to_break_is_there_once(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.code) == 1
    assert mutant.broken != mutant.code


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_the_tests_that_are_to_notice_are_there(mutant: Mutant) -> None:
    place, *selection = shlex.split(mutant.tests)
    words = set(re.findall(r"\w+", selection[1])) - {"and", "or", "not"} if selection else set()
    files = (ROOT / place).rglob("*.py") if (ROOT / place).is_dir() else [ROOT / place]
    text = "".join(file.read_text() for file in files)

    assert [word for word in words if word not in text] == []


def test_every_promise_is_named_once() -> None:
    assert len({mutant.promise for mutant in MUTANTS}) == len(MUTANTS)
