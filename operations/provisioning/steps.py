"""What a plan is made of: steps that say what is, what will be, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a step does.

    `NOTE` is drift that nobody but a person can judge: something in the account that the file does not have.
    """

    KEEP = "keep"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    REFUSE = "refuse"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan; `carry_out` is there where it changes something."""

    action: Action
    subject: str
    detail: str = ""
    carry_out: Callable[[], None] | None = None

    def as_dict(self) -> dict[str, str]:
        """Return the step for programs."""
        return {"action": self.action.value, "subject": self.subject, "detail": self.detail}


def changes(steps: Iterable[Step]) -> list[Step]:
    """Return the steps that would change something."""
    return [step for step in steps if step.carry_out is not None]


def refusals(steps: Iterable[Step]) -> list[Step]:
    """Return the steps that stand in the way of all others."""
    return [step for step in steps if step.action is Action.REFUSE]
