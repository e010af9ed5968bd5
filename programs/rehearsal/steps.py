"""What a rehearsal does and sees, line by line, for people."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from botocore.exceptions import BotoCoreError, ClientError

from programs.rehearsal.deployment import InvocationError


class StepFailedError(Exception):
    """Something was seen that must not be."""


class Steps:
    """Says what was seen; the first thing that must not be ends the rehearsal."""

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self._say = say
        self._began = monotonic()

    def title(self, text: str) -> None:
        """Begin a part."""
        self._say(f"\n{text}")

    def note(self, text: str) -> None:
        """Say something that is no step."""
        self._say(f"         {text}")

    def expect(self, is_so: object, text: str, seen: object = "") -> None:
        """Say what was seen.

        Raises:
            StepFailedError: it is not so; `seen` is what is there instead.
        """
        if not is_so:
            raise StepFailedError(f"{text}; seen: {seen}")
        self._say(f"  ok     {text}")

    def equal(self, seen: object, expected: object, text: str) -> None:
        """Say what was seen, if it is as expected."""
        self.expect(seen == expected, text, f"{seen!r}, expected: {expected!r}")

    def carry_out(self, rehearsal: Callable[[], None]) -> int:
        """Carry a rehearsal out; return the exit code."""
        try:
            rehearsal()
        except (StepFailedError, InvocationError, BotoCoreError, ClientError) as error:
            self._say(f"  FAILED {error}")
            return 1
        finally:
            self._say(f"\n{monotonic() - self._began:.0f} seconds")
        return 0
