"""The search for a state of an hour in which something is wrong, and the way there in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from programs.model.bounds import Bounds
from programs.model.breadth_first import Found, breadth_first
from programs.model.invariants import Invariant, invariants
from programs.model.reduction import reduced, without_spent
from programs.model.rules import Rules
from programs.model.state import TICK, State
from programs.model.steps import Step, steps

START = datetime(2026, 11, 23, 8, 5, tzinfo=UTC)


def search(rules: Rules, bounds: Bounds, conditions: Sequence[Invariant] = ()) -> Found:
    """Look at every state there is, or at those up to the first in which a condition (by default any) does not hold."""
    start, conditions = bounds.start(), conditions or invariants()

    def following(state: State) -> Iterator[tuple[State, Step]]:
        return ((reduced(step.state, rules), step) for step in steps(state, rules, bounds))

    return breadth_first(
        reduced(start, rules),
        following,
        lambda step: _broken(step.state, rules, conditions),
        lambda way: _told(start, way, rules, bounds),
    )


def _broken(state: State, rules: Rules, conditions: Sequence[Invariant]) -> str | None:
    return next((each.words for each in conditions if not each.holds(state, rules)), None)


def _told(start: State, way: Sequence[State], rules: Rules, bounds: Bounds) -> tuple[str, ...]:
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
