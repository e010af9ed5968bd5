"""A delivery that dies or fails at any call, and is delivered again, ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from billing.webhooks import ledger
from programs.local.stack import Stack
from tests.support.calls import Call, Calls, Crash, Disturbance
from tests.support.faults import CRASHES, FAILURES
from tests.webhooks.scenarios import REFUSED_HOUR, SCENARIOS, FirstCheckout, FirstThinEvent, Scenario, SecondCheckout
from tests.webhooks.stripe_state import assert_follows_stripe


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliver again long after the crash: what the dead delivery claimed is void."""
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", -1.0)
    monkeypatch.setattr("billing.webhooks.delivery.pause", lambda attempt: None)


# Their way is that of a first checkout; only where it dies is tried for all of them in every run.
LIKE_A_FIRST_CHECKOUT = (FirstThinEvent, SecondCheckout)
TRIED_QUICKLY = [
    pytest.param(kind, marks=pytest.mark.deep) if kind in LIKE_A_FIRST_CHECKOUT else kind for kind in SCENARIOS
]


def at(position: int, how: Disturbance) -> Callable[[int, Call], Disturbance | None]:
    return lambda number, call: how if number == position else None


def from_there_on(position: int, how: Disturbance) -> Callable[[int, Call], Disturbance | None]:
    return lambda number, call: how if number >= position else None


def calls_of(scenario: Scenario, calls: Calls) -> list[str]:
    """List the calls of an undisturbed delivery."""
    delivery = scenario.next()
    with calls.watched() as names:
        assert scenario.stack.deliver(delivery).status == 200
    scenario.check(delivery, "undisturbed")
    assert names
    return names


def each_case(names: list[str], how_many: tuple[Disturbance, ...]) -> Iterator[tuple[int, Disturbance, str]]:
    for position, name in enumerate(names):
        for how in how_many:
            yield position, how, f"{how} at call {position} ({name}) of {names}"


@pytest.mark.parametrize("kind", SCENARIOS)
def test_a_delivery_that_crashes_before_or_after_any_call_is_healed_by_the_next(
    stack: Stack, calls: Calls, kind: type[Scenario]
) -> None:
    scenario = kind(stack)
    for position, how, context in each_case(calls_of(scenario, calls), CRASHES):
        delivery = scenario.next()
        with pytest.raises(Crash), calls.watched(at(position, how)):
            stack.deliver(delivery)
        assert stack.deliver(delivery).status == 200, context
        scenario.check(delivery, context)
        assert stack.deliver(delivery).outcome == "duplicate", context
        scenario.check(delivery, context)


@pytest.mark.parametrize("kind", TRIED_QUICKLY)
def test_a_delivery_that_fails_at_any_call_is_answered_with_500_and_healed_by_the_next(
    stack: Stack, calls: Calls, kind: type[Scenario]
) -> None:
    scenario = kind(stack)
    for position, how, context in each_case(calls_of(scenario, calls), FAILURES):
        delivery = scenario.next()
        with calls.watched(from_there_on(position, how)):
            status = stack.deliver(delivery).status
        assert calls.disturbed, context
        assert status == 500, context
        assert stack.deliver(delivery).status == 200, context
        scenario.check(delivery, context)


@pytest.mark.parametrize("kind", TRIED_QUICKLY)
def test_a_delivery_survives_a_single_failure_or_is_healed_by_the_next(
    stack: Stack, calls: Calls, kind: type[Scenario]
) -> None:
    scenario = kind(stack)
    for position, how, context in each_case(calls_of(scenario, calls), FAILURES):
        delivery = scenario.next()
        with calls.watched(at(position, how)):
            status = stack.deliver(delivery).status
        assert calls.disturbed, context
        assert status in (200, 500), context
        if status == 200:
            scenario.check(delivery, context)
        assert stack.deliver(delivery).status == 200, context
        scenario.check(delivery, context)


STRIPE_FAULTS = (
    "http_409",
    "http_429",
    "http_429_lock_timeout",
    "http_500",
    "http_503",
    "timeout_before_effect",
    "timeout_after_effect",
    "cut_before_effect",
    "cut_after_effect",
    "not_json_after_effect",
)


@pytest.mark.parametrize("fault", STRIPE_FAULTS)
def test_a_fault_of_stripes_is_retried_and_else_answered_with_500(stack: Stack, fault: str) -> None:
    scenario = FirstCheckout(stack)
    faults = stack.simulator.faults

    faults.add(fault, limit=2, seconds=0.05)
    delivery = scenario.next()
    assert stack.deliver(delivery).status == 200, "two failures are outlasted"
    scenario.check(delivery, fault)

    for position in (1, 2):
        faults.clear()
        faults.add(fault, nth=list(range(position, 10)), seconds=0.05)
        delivery = scenario.next()
        assert stack.deliver(delivery).status == 500
        faults.clear()
        assert stack.deliver(delivery).status == 200
        scenario.check(delivery, fault)


def test_a_link_that_died_is_finished_by_another_event_of_the_organisation(stack: Stack, calls: Calls) -> None:
    scenario = FirstCheckout(stack)
    names = calls_of(scenario, calls)
    after_the_write = names.index("dynamodb:TransactWriteItems") + 1
    delivery = scenario.next()
    with pytest.raises(Crash), calls.watched(at(after_the_write, CRASHES[0])):
        stack.deliver(delivery)
    assert stack.record(scenario.organization_id).rearm_from is not None

    stack.advance(minutes=5)
    record = stack.record(scenario.organization_id)
    stack.simulator.account.subscriptions.update(record.stripe_subscription_id, {"description": "new"})
    assert stack.deliver(scenario.only("customer.subscription.updated")).status == 200

    assert stack.usage(scenario.organization_id, REFUSED_HOUR).refused is None
    assert_follows_stripe(stack, scenario.organization_id)


def test_a_duplicate_that_loses_the_race_finishes_the_link_of_the_winner_that_died(stack: Stack, calls: Calls) -> None:
    """Stripe counts the loser's 200 as the delivery's success and sends nothing again."""
    scenario = FirstCheckout(stack)
    delivery = scenario.next()

    def lose_to_one_that_dies(call: Call) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("billing.webhooks.delivery.finish_linking", _die)
            with pytest.raises(Crash):
                stack.deliver(delivery)
        return call.perform()

    once = iter([lose_to_one_that_dies])
    with calls.watched(lambda number, call: next(once, None) if call.name == "dynamodb:TransactWriteItems" else None):
        assert stack.deliver(delivery).outcome == "duplicate"

    scenario.check(delivery, "after the loser's answer")


def _die(*arguments: Any) -> None:
    raise Crash
