"""A promise, and how to break it."""

from __future__ import annotations

from dataclasses import dataclass

LAYER = "layers/billing/billing"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken promise: `code`, once in `file`, becomes `broken`; `tests`, as pytest takes them, have to fail."""

    promise: str
    file: str
    code: str
    broken: str
    tests: str
