"""The list of broken promises still fits the code: `make test-mutants` would break what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from programs.mutants.mutant import Mutant
from programs.mutants.promises import MUTANTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.promise)
def test_the_code_to_break_is_there_once(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.code) == 1
    assert mutant.broken != mutant.code


def test_every_promise_is_named_once() -> None:
    assert len({mutant.promise for mutant in MUTANTS}) == len(MUTANTS)
