"""A search through all states there are, breadth first: the way to the first that is wrong is a shortest one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

State = TypeVar("State")
Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: `broken` says what does not hold, `trace` how it came to that."""

    states: int
    seconds: float
    broken: str | None = None
    trace: tuple[str, ...] = ()


def breadth_first(
    first: State,
    following: Callable[[State], Iterable[tuple[State, Step]]],
    broken_by: Callable[[Step], str | None],
    tell: Callable[[Sequence[State]], tuple[str, ...]],
) -> Found:
    """Look at every state that follows from the first, or at those up to the first step that breaks something.

    `following` gives the states after one, each with the step that leads there; `broken_by` says, in words, what a step
    breaks; `tell` puts a way, from the first state on, into words.
    """
    began = time.perf_counter()
    came_from: dict[State, State | None] = {first: None}
    waiting = deque([first])
    while waiting:
        state = waiting.popleft()
        for after, step in following(state):
            if after in came_from:
                continue
            came_from[after] = state
            broken = broken_by(step)
            if broken is not None:
                trace = tell(_way_to(after, came_from))
                return Found(len(came_from), time.perf_counter() - began, broken, trace)
            waiting.append(after)
    return Found(len(came_from), time.perf_counter() - began)


def _way_to(state: State | None, came_from: dict[State, State | None]) -> list[State]:
    way: list[State] = []
    while state is not None:
        way.append(state)
        state = came_from[state]
    return way[::-1]
