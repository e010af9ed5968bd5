"""The search finds no hole in the protocol, and finds the holes that are known: those before, those of each rule."""

from __future__ import annotations

import random

import pytest

from programs.model.bounds import Bounds
from programs.model.breadth_first import Found
from programs.model.invariants import EXACT_OR_DUE
from programs.model.old_rules import HOLES, OldRules
from programs.model.reduction import reduced, without_spent
from programs.model.rules import Rules
from programs.model.search import search
from programs.model.searches import DEEP, QUICK
from programs.model.state import State
from programs.model.steps import steps
from programs.model.weaker_rules import WEAKER, Weaker

OVERLOOKED, FORGOTTEN, BOTH_LAST = HOLES


@pytest.mark.parametrize("bounds", QUICK, ids=lambda bounds: bounds.name)
def test_the_protocol_has_no_hole(bounds: Bounds) -> None:
    found = search(Rules(), bounds)

    assert found.broken is None, "\n".join(found.trace)
    assert found.states > 500


@pytest.mark.deep
@pytest.mark.parametrize("bounds", DEEP, ids=lambda bounds: bounds.name)
def test_the_protocol_has_no_hole_in_many_states(bounds: Bounds, request: pytest.FixtureRequest) -> None:
    found = search(Rules(), bounds)
    text = f"model, {bounds.name}: {found.states:,} states, {found.seconds:.0f} seconds"
    request.node.user_properties.append(("exploration", text))

    assert found.broken is None, "\n".join(found.trace)
    assert found.states > 100_000


@pytest.mark.parametrize("weaker", WEAKER, ids=lambda weaker: weaker.left_out)
def test_no_rule_can_be_left_out(weaker: Weaker) -> None:
    assert search(weaker.rules, weaker.bounds).broken is not None


EVERYTHING = Bounds(
    "everything",
    values=((5, 6, 7), (1, 2)),
    at_once=3,
    lost_responses=True,
    refusals=True,
    comparisons=9,
    drops=9,
)


def test_what_is_left_out_of_a_state_changes_nothing_that_comes_after_it() -> None:
    chance, rules = random.Random(1), Rules()

    def next_of(state: State) -> set[State]:
        return {reduced(step.state, rules) for step in steps(state, rules, EVERYTHING)}

    for _ in range(30):
        state = EVERYTHING.start()
        for _ in range(40):
            state = without_spent(chance.choice(list(steps(state, rules, EVERYTHING))).state, rules)
            assert next_of(state) == next_of(reduced(state, rules)), state


def steps_of(found: Found) -> list[str]:
    """Return the steps of a trace without their times and without the outcome in its last line."""
    return [line.partition(" ")[2] for line in found.trace[:-1]]


def test_in_the_old_rules_a_total_declared_again_is_overlooked() -> None:
    found = search(OldRules(), OVERLOOKED, [EXACT_OR_DUE])

    assert steps_of(found)[-8:] == [
        "sender 2 reads the hour",
        "the counts become 2",
        "sender 3 reads the hour",
        "sender 2 declares 1 under revision 1",
        "sender 3 declares 2 under revision 2",
        "sender 3 sends r2:2",
        "sender 2 sends r1:1",
        "sender 3 settles the hour",
    ]
    assert found.trace[-1] == "counted 2, not due; Stripe counts 1 by arrival, 2 by timestamp"


def test_in_the_old_rules_the_end_of_a_doubt_forgets_a_sender() -> None:
    found = search(OldRules(), FORGOTTEN, [EXACT_OR_DUE])

    assert steps_of(found)[-12:] == [
        "8 minutes pass",
        "sender 2 declares 6 under revision 2, in doubt",
        "sender 3 reads the hour",
        "sender 3 declares 6 under revision 3",
        "sender 3 sends r3:6",
        "sender 3 settles the hour",
        "the counts become 5",
        "sender 4 reads the hour",
        "sender 4 declares 5 under revision 4",
        "sender 4 sends r4:5",
        "sender 4 settles the hour",
        "sender 2 sends r2:6",
    ]


def test_in_the_old_rules_two_senders_of_the_same_totals_both_count_as_the_last() -> None:
    found = search(OldRules(), BOTH_LAST, [EXACT_OR_DUE])

    assert steps_of(found) == [
        "the counts become 4 and 120",
        "sender 1 reads the hour",
        "sender 1 declares 4 and 120 under revision 2",
        "sender 2 reads the hour",
        "sender 2 declares 4 and 120 under revision 2",
        "sender 1 sends r2:4",
        "sender 1 settles the hour",
        "the counts become 4 and 150",
        "sender 3 reads the hour",
        "sender 3 declares 4 and 150 under revision 3",
        "sender 3 sends r3:150",
        "sender 2 sends r2:120",
        "sender 3 settles the hour",
    ]
