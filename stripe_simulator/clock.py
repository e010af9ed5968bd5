"""The simulator's clock: real time, unless a test moves or stops it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """The simulated time, in Unix seconds.

    It runs with real time until `set` stops it at a moment; `run` lets it go on from there.
    """

    def __init__(self) -> None:
        self._offset = 0.0
        self._stopped_at: float | None = None
        self.listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return the simulated time in Unix seconds, with fractions."""
        return self._stopped_at if self._stopped_at is not None else time.time() + self._offset

    def seconds(self) -> int:
        """Return the simulated time in whole Unix seconds, as Stripe's `created` has it."""
        return int(self.now())

    def set(self, moment: float | datetime) -> None:
        """Stop the clock at a moment, given in Unix seconds or as an aware datetime."""
        self._stopped_at = moment_in_seconds(moment)
        self._notify()

    def advance(self, seconds: float) -> None:
        """Move the clock by some seconds (a stopped one stays stopped, a running one runs on)."""
        if self._stopped_at is not None:
            self._stopped_at += seconds
        else:
            self._offset += seconds
        self._notify()

    def run(self) -> None:
        """Let a stopped clock run on from where it stands."""
        if self._stopped_at is not None:
            self._offset = self._stopped_at - time.time()
            self._stopped_at = None

    def reset(self) -> None:
        """Go back to real time."""
        self._offset = 0.0
        self._stopped_at = None

    def _notify(self) -> None:
        for listener in self.listeners:
            listener()


def moment_in_seconds(moment: float | datetime) -> float:
    """Turn an aware datetime or Unix seconds into Unix seconds.

    Raises:
        ValueError: a datetime without a time zone.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError("A moment needs a time zone")
        return moment.timestamp()
    return float(moment)


def rfc3339(seconds: float) -> str:
    """Write Unix seconds as v2 of Stripe's API does, in milliseconds: `2026-11-23T08:00:00.000Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
