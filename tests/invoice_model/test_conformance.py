"""The model and the code take the same steps, and have the same in their tables after each of them."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from billing.metering import plan
from programs.invoice_model.rules import Rules
from programs.invoice_model.scenarios import DRAFTS_TOO, Scenario
from programs.invoice_model.search import broken_in, search
from programs.invoice_model.steps import Step, steps
from programs.invoice_model.weaker import WEAKER
from programs.local.stack import Stack
from tests.invoice_model.replay import Replay
from tests.invoices.weekly import Weekly
from tests.support.interleaving import Interleaving

WALKED = Scenario(
    "three periods, three at work",
    counts=((5, 6, 4, 7, 9), (2, 3, 1, 8)),
    last=2,
    at_once=3,
    corrections=12,
    delivered=DRAFTS_TOO,
    looks=True,
    voids=True,
)
QUICK_WALKS, WALKS = 8, 150
STEPS = 70
LIKELY = {"counts": 1.0, "ends": 1.0, "is final": 2.0, "is voided": 0.1, "dies": 0.1, "goes on": 4.0}


def walk(replay: Replay, choice: random.Random) -> int:
    """Walk the model at random, the code with it; return how many steps were made."""
    state, told = WALKED.start(), []
    for number in range(STEPS):
        possible = list(steps(state, Rules(), WALKED))
        step: Step = choice.choices(possible, [LIKELY.get(step.kind, 1.0) for step in possible])[0]
        told.append(step.text)
        replay.make(step, state)
        state = step.state
        assert replay.differences(state) == [], "\n".join(told[: number + 1])
        assert not list(broken_in(state, Rules(), WALKED)), "\n".join(told[: number + 1])
    return STEPS


def gone_wrong_way(replay: Replay, rules: Rules, scenario: Scenario) -> None:
    """Go the way on which something goes wrong without a rule, up to where that matters; then let all work end."""
    way = list(search(rules, scenario).trace[:-1])
    weaker = state = scenario.start()
    told: list[str] = []
    while state.workers or way:
        text = way.pop(0) if way else f"{state.workers[0].kind} 1 "
        step = next(step for step in steps(state, Rules(), scenario) if is_step(step, text))
        told.append(step.text)
        replay.make(step, state)
        state = step.state
        assert replay.differences(state) == [], "\n".join(told)
        assert not list(broken_in(state, Rules(), scenario)), "\n".join(told)
        if way:
            weaker = next(step.state for step in steps(weaker, rules, scenario) if step.text == text)
            way = way if weaker == state else []


def is_step(step: Step, text: str) -> bool:
    """Say whether a step is the one that is told so, or that goes on with who is named."""
    return step.text == text or (step.kind == "goes on" and step.text.startswith(text))


@pytest.mark.parametrize(
    "seed", [*range(QUICK_WALKS), *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(QUICK_WALKS, WALKS))]
)
def test_model_and_code_do_the_same(stack: Stack, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    # A sender that has died is over at once: `programs/model` has those that live.
    monkeypatch.setattr(plan, "SENDER_LIFETIME", timedelta())
    weekly = Weekly(stack)
    with Interleaving(monkeypatch) as interleaving:
        made = walk(Replay(weekly, interleaving, WALKED), random.Random(seed))

    assert made == STEPS


@pytest.mark.parametrize(
    ("rules", "scenario"),
    [each for each in WEAKER if not each[1].sweeps],
    ids=lambda each: getattr(each, "name", type(each).__name__),
)
def test_the_code_goes_right_where_it_would_go_wrong_without_a_rule(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, rules: Rules, scenario: Scenario
) -> None:
    monkeypatch.setattr(plan, "SENDER_LIFETIME", timedelta())
    weekly = Weekly(stack)
    with Interleaving(monkeypatch) as interleaving:
        gone_wrong_way(Replay(weekly, interleaving, scenario), rules, scenario)
