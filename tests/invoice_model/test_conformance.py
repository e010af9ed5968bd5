"""The model and the code take the same steps, and have the same in their tables after each of them."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from billing.metering import plan
from programs.invoice_model.rules import Rules
from programs.invoice_model.scenarios import DRAFTS_TOO, Scenario
from programs.invoice_model.search import broken_in
from programs.invoice_model.steps import Step, steps
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
