"""The model of periods and invoices: nothing goes wrong under the rules in use, and something without any of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from programs.invoice_model.drafts import WEAKER_DRAFTS, DraftRules, search_drafts
from programs.invoice_model.rules import Rules
from programs.invoice_model.scenarios import DEEP, LEFT, QUICK, Scenario
from programs.invoice_model.search import search
from programs.invoice_model.weaker import WEAKER


@pytest.mark.parametrize(
    "scenario",
    [*QUICK, *(pytest.param(each, marks=pytest.mark.deep) for each in DEEP)],
    ids=lambda scenario: f"{scenario.name}, {scenario.at_once} at once",
)
def test_in_every_order_all_that_was_counted_is_billed_or_told(
    scenario: Scenario, request: pytest.FixtureRequest
) -> None:
    found = search(Rules(), scenario)

    assert found.broken is None, "\n".join(found.trace)
    assert found.states > 1000
    request.node.user_properties.append(("exploration", f"model: {scenario.name}: {found.states} states"))


@pytest.mark.parametrize(("rules", "scenario"), WEAKER, ids=lambda each: getattr(each, "name", type(each).__name__))
def test_something_goes_wrong_without_any_one_of_the_rules(rules: Rules, scenario: Scenario) -> None:
    found = search(rules, scenario)

    assert found.broken is not None
    assert found.trace


def test_a_draft_waits_for_its_hours_but_not_for_ever() -> None:
    found = search_drafts(DraftRules())

    assert found.broken is None, "\n".join(found.trace)
    assert found.states > 10_000


@pytest.mark.parametrize("rules", WEAKER_DRAFTS, ids=lambda rules: type(rules).__name__)
def test_a_draft_waits_wrongly_without_any_one_of_its_rules(rules: DraftRules) -> None:
    assert search_drafts(rules).broken is not None


@pytest.mark.parametrize("scenario", LEFT, ids=lambda scenario: scenario.name)
def test_what_is_left_needs_more_than_one_at_work(scenario: Scenario) -> None:
    assert search(Rules(), scenario).broken is not None
    assert search(Rules(), replace(scenario, at_once=1)).broken is None
