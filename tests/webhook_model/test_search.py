"""The model of the webhooks: nothing goes wrong under the rules in use, and something without any one of them."""

from __future__ import annotations

import pytest

from programs.webhook_model.rules import Rules
from programs.webhook_model.scenarios import DEEP, QUICK, Scenario
from programs.webhook_model.search import search
from programs.webhook_model.weaker import WEAKER


@pytest.mark.parametrize(
    "scenario",
    [*QUICK, *(pytest.param(each, marks=pytest.mark.deep) for each in DEEP)],
    ids=lambda scenario: f"{scenario.name}, {scenario.at_once} at once",
)
def test_every_order_ends_in_stripes_state(scenario: Scenario, request: pytest.FixtureRequest) -> None:
    found = search(Rules(), scenario)

    assert found.broken is None, "\n".join(found.trace)
    assert found.states > 100
    request.node.user_properties.append(("exploration", f"model: {scenario.name}: {found.states} states"))


@pytest.mark.parametrize(("rules", "scenario"), WEAKER, ids=lambda each: getattr(each, "name", type(each).__name__))
def test_something_goes_wrong_without_any_one_of_the_rules(rules: Rules, scenario: Scenario) -> None:
    found = search(rules, scenario)

    assert found.broken is not None
    assert found.trace
