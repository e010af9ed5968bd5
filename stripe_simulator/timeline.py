"""An order of time: what is due at which moment. The account has one, and each test clock one of its own."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Timeline:
    """The tasks of one clock. While one runs, it is the task's own time, so that all happens in order."""

    def __init__(self, read_clock: Callable[[], float]) -> None:
        self._read_clock = read_clock
        self._tasks: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._task_time: float | None = None

    def now(self) -> float:
        """Return the clock's time in Unix seconds, or a task's own while it runs."""
        return self._task_time if self._task_time is not None else self._read_clock()

    def next_at(self) -> float | None:
        """Return when the next task is due; None where nothing is scheduled."""
        return self._tasks[0][0] if self._tasks else None

    def schedule(self, at: float, task: Callable[[], None]) -> None:
        """Have a task run once the clock passes a time; tasks run in the order of their times."""
        self._number += 1
        heapq.heappush(self._tasks, (at, self._number, task))

    def catch_up(self) -> None:
        """Run every task that is due, unless one of them is running."""
        if self._task_time is not None:
            return
        now = self._read_clock()
        while self._tasks and self._tasks[0][0] <= now:
            self._task_time, _, task = heapq.heappop(self._tasks)
            try:
                task()
            finally:
                self._task_time = None
