"""The search: breadth first, so that the way to the first state that is wrong is a shortest one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from programs.model.bounds import Bounds
from programs.model.invariants import Invariant, invariants
from programs.model.reduction import reduced, without_spent
from programs.model.rules import Rules
from programs.model.state import TICK, State
from programs.model.steps import Step, steps

START = datetime(2026, 11, 23, 8, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: `broken` is the invariant that does not hold, `trace` how it came to that."""

    states: int
    seconds: float
    broken: str | None = None
    trace: tuple[str, ...] = ()


def search(rules: Rules, bounds: Bounds, conditions: Sequence[Invariant] = ()) -> Found:
    """Look at every state there is, or at those up to the first in which a condition (by default any) does not hold."""
    began = time.perf_counter()
    start, conditions = bounds.start(), conditions or invariants()
    first = reduced(start, rules)
    came_from: dict[State, State | None] = {first: None}
    waiting = deque([first])
    while waiting:
        state = waiting.popleft()
        for step in steps(state, rules, bounds):
            after = reduced(step.state, rules)
            if after in came_from:
                continue
            came_from[after] = state
            broken = _broken(step.state, rules, conditions)
            if broken is not None:
                trace = _told(start, _way_to(after, came_from), rules, bounds)
                return Found(len(came_from), time.perf_counter() - began, broken.words, trace)
            waiting.append(after)
    return Found(len(came_from), time.perf_counter() - began)


def _broken(state: State, rules: Rules, conditions: Sequence[Invariant]) -> Invariant | None:
    return next((each for each in conditions if not each.holds(state, rules)), None)


def _way_to(state: State | None, came_from: dict[State, State | None]) -> list[State]:
    way: list[State] = []
    while state is not None:
        way.append(state)
        state = came_from[state]
    return way[::-1]


def _told(start: State, way: list[State], rules: Rules, bounds: Bounds) -> tuple[str, ...]:
    """Return the steps of a way, gone once more with all names, versions and times."""
    lines, state = [], start
    for wanted in way[1:]:
        step = _step_to(wanted, state, rules, bounds)
        lines.append(f"{START + state.clock * TICK:%H:%M} {step}")
        state = without_spent(step.state, rules)
    return (*lines, _outcome(state))


def _step_to(wanted: State, state: State, rules: Rules, bounds: Bounds) -> Step:
    return next(step for step in steps(state, rules, bounds) if reduced(step.state, rules) == wanted)


def _outcome(state: State) -> str:
    by_arrival = " and ".join(str(each.by_arrival) for each in state.stripe.counted)
    by_timestamp = " and ".join(str(each.by_timestamp) for each in state.stripe.counted)
    counted = " and ".join(map(str, state.item.counts))
    due = "due" if state.item.due else "refused" if state.item.refused else "not due"
    return f"counted {counted}, {due}; Stripe counts {by_arrival} by arrival, {by_timestamp} by timestamp"
