"""The model and the code take the same steps, and have the same in their tables after each of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from billing.webhooks import delivery as delivery_module
from billing.webhooks import ledger, refresh
from programs.local import tables
from programs.local.stack import Stack
from programs.webhook_model.rules import GRACE, Rules
from programs.webhook_model.scenarios import Scenario, changed, subscribed
from programs.webhook_model.state import START, TICK
from programs.webhook_model.steps import Step, steps
from tests.support.interleaving import Interleaving
from tests.webhook_model.replay import Replay

WALKED = Scenario(
    "two organisations, six subscriptions, four customers, a stranger among them",
    (
        subscribed(1, "cus_1", "acme", in_metadata=False),
        changed(1, "past_due"),
        subscribed(2, "cus_2", "acme"),
        subscribed(3, "cus_1", None, in_metadata=False),
        changed(3, "past_due"),
        subscribed(4, "cus_2", "beta", in_metadata=False),
        subscribed(5, "cus_3", "beta"),
        subscribed(6, "cus_4", "acme", in_metadata=False),
        changed(5, "past_due", names="beta"),
    ),
    at_once=3,
    ticks=2,
)
OVERDUE = Scenario(
    "a payment's grace ends, or it is paid, and another one is overdue",
    (
        subscribed(1, "cus_1", "acme"),
        changed(1, "past_due", names="acme", past_due_since=START - GRACE + TICK),
        changed(1, "active", names="acme"),
        changed(1, "past_due", names="acme", past_due_since=START - GRACE + 2 * TICK),
    ),
    ticks=3,
)
if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

STEPS = 70
LIKELY = {
    "happens": 3.0,
    "time passes": 1.0,
    "is delivered": 1.0,
    "dies": 0.3,
    "goes on": 6.0,
    "ends access": 2.0,
}


def walk(replay: Replay, scenario: Scenario, choice: random.Random) -> int:
    """Walk the model at random, the code with it; return how many steps were made."""
    state, told = scenario.start(), []
    for number in range(STEPS):
        possible = list(steps(state, Rules(), scenario))
        weights = [LIKELY[step.kind] for step in possible]
        step: Step = choice.choices(possible, weights)[0]
        told.append(step.text)
        replay.make(step, state)
        state = step.state
        assert replay.differences(state) == [], "\n".join(told[: number + 1])
    return STEPS


@pytest.mark.parametrize("scenario", [WALKED, OVERDUE], ids=["linking", "overdue"])
@pytest.mark.parametrize("walks", [8, pytest.param(150, marks=pytest.mark.deep)])
def test_model_and_code_do_the_same(
    stack: Stack,
    dynamodb: DynamoDBClient,
    monkeypatch: pytest.MonkeyPatch,
    walks: int,
    scenario: Scenario,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", -1.0)
    monkeypatch.setattr(delivery_module, "pause", lambda attempt: None)
    made = 0
    for seed in range(walks):
        tables.empty_tables(dynamodb)
        with monkeypatch.context() as patch, Interleaving(patch) as interleaving:
            replay = Replay(stack, interleaving, scenario)
            patch.setattr(refresh, "unpaid_since", replay.unpaid_since)
            made += walk(replay, scenario, random.Random(seed))
    request.node.user_properties.append(("exploration", f"webhooks, model and code: {made} steps, none differed"))
