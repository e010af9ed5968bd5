"""A delivery that dies or fails at any call, and is delivered again, ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import record_readings
from billing.clock import format_time
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord
from billing.webhooks import delivery as delivery_module
from billing.webhooks import ledger
from programs.local.stack import Stack
from stripe_simulator import Delivery
from tests.webhooks.calls import CRASHES, FAILURES, Calls, Crash, Disturbance
from tests.webhooks.stripe_state import assert_follows_stripe

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
REFUSED_HOUR = format_time(HOUR)


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliver again long after the crash: what the dead delivery claimed is void."""
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", -1.0)
    monkeypatch.setattr(delivery_module, "_pause", lambda attempt: None)


class Scenario:
    """Make one delivery after another that take the same way, and check what came of each."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.round = 0

    def next(self) -> Delivery:
        raise NotImplementedError

    def check(self, delivery: Delivery, context: str) -> None:
        raise NotImplementedError

    def only(self, event_type: str) -> Delivery:
        return next(one for one in self.stack.simulator.webhooks.take() if one.event_type == event_type)

    def recorded(self, delivery: Delivery) -> StripeEventRecord:
        return StripeEventRecord.get(delivery.event_id, consistent_read=True)


class Update(Scenario):
    """A known subscription changes."""

    event_type = "customer.subscription.updated"

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        _, self.subscription_id = stack.subscribe("acme")
        stack.deliver_all()
        stack.advance(hours=1)

    def next(self) -> Delivery:
        self.round += 1
        self.version = int(self.stack.record("acme").version)
        subscriptions = self.stack.simulator.account.subscriptions
        subscriptions.set_status(self.subscription_id, ("active", "past_due")[self.round % 2])
        return self.only(self.event_type)

    def check(self, delivery: Delivery, context: str) -> None:
        record = assert_follows_stripe(self.stack, "acme", context)
        assert int(record.version) == self.version + 1, context
        assert record.last_event_id == delivery.event_id, context
        assert self.recorded(delivery).outcome == "processed", context


class ThinUpdate(Update):
    """The same, told by a thin event."""

    event_type = "v1.customer.subscription.updated"


class FirstCheckout(Scenario):
    """An organisation subscribes, after an hour of its usage was refused for want of a customer."""

    customer: str | None = None

    def next(self) -> Delivery:
        self.round += 1
        self.organization_id = f"acme-{self.round}"
        self.customer_id, _ = self.stack.subscribe(self.organization_id)
        record_readings(self.organization_id, 7, HOUR)
        hour = self.stack.usage(self.organization_id, REFUSED_HOUR)
        hour.update(
            actions=[
                UsageRecord.refused.set("no_customer: No Stripe customer for organization"),
                UsageRecord.due_shard.remove(),
                UsageRecord.due_at.remove(),
            ]
        )
        return self.only("checkout.session.completed")

    def check(self, delivery: Delivery, context: str) -> None:
        record = assert_follows_stripe(self.stack, self.organization_id, context)
        assert int(record.version) == 1, context
        assert self.recorded(delivery).outcome == "processed", context
        hour = self.stack.usage(self.organization_id, REFUSED_HOUR)
        assert hour.refused is None, context
        assert hour.due_at == format_time(HOUR + timedelta(hours=1)), context


class SecondCheckout(FirstCheckout):
    """An organisation whose first subscription ended subscribes again, as another customer."""

    def next(self) -> Delivery:
        organization_id = f"acme-{self.round + 1}"
        _, first = self.stack.subscribe(organization_id)
        self.stack.deliver(self.only("checkout.session.completed"))
        self.stack.simulator.account.subscriptions.cancel(first)
        self.stack.deliver(self.only("customer.subscription.deleted"))
        delivery = super().next()
        self.version = int(self.stack.record(organization_id).version)
        return delivery

    def check(self, delivery: Delivery, context: str) -> None:
        record = assert_follows_stripe(self.stack, self.organization_id, context)
        assert record.stripe_customer_id == self.customer_id, context
        assert int(record.version) == self.version + 1, context
        hour = self.stack.usage(self.organization_id, REFUSED_HOUR)
        assert hour.refused is None, context
        assert hour.due_at == format_time(HOUR + timedelta(hours=1)), context


class OldNews(Update):
    """An event comes that is older than what is stored."""

    def next(self) -> Delivery:
        delivery = super().next()
        self.stack.advance(minutes=2)
        self.stack.simulator.account.subscriptions.update(self.subscription_id, {"description": str(self.round)})
        self.stack.deliver(self.only(self.event_type))
        self.version = int(self.stack.record("acme").version)
        return delivery

    def check(self, delivery: Delivery, context: str) -> None:
        assert int(assert_follows_stripe(self.stack, "acme", context).version) == self.version, context
        assert self.recorded(delivery).outcome == "already_reflected", context


class UnknownSubscription(Scenario):
    """An event comes of a subscription that no organisation has."""

    def next(self) -> Delivery:
        self.stack.subscribe("stranger")
        return self.only("customer.subscription.created")

    def check(self, delivery: Delivery, context: str) -> None:
        assert self.recorded(delivery).outcome == "ignored", context
        assert list(SubscriptionRecord.scan()) == [], context


class Ignored(Scenario):
    """An event comes of a type that nothing is done for."""

    def next(self) -> Delivery:
        self.stack.simulator.account.customers.create({"email": "buyer@example.com"})
        return self.only("customer.created")

    def check(self, delivery: Delivery, context: str) -> None:
        assert self.recorded(delivery).outcome == "ignored", context


SCENARIOS = (Update, ThinUpdate, FirstCheckout, SecondCheckout, OldNews, UnknownSubscription, Ignored)
# The way of a second checkout is that of a first one; only where it dies is tried for both in every run.
TRIED_QUICKLY = [pytest.param(kind, marks=pytest.mark.deep) if kind is SecondCheckout else kind for kind in SCENARIOS]


def at(position: int, how: Disturbance) -> Callable[[int, str], Disturbance | None]:
    return lambda number, name: how if number == position else None


def from_there_on(position: int, how: Disturbance) -> Callable[[int, str], Disturbance | None]:
    return lambda number, name: how if number >= position else None


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
            yield position, how, f"{getattr(how, '__name__', how)} at call {position} ({name}) of {names}"


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

    def lose_to_one_that_dies(name: str, call: Callable[[], Any]) -> Any:
        undisturbed = delivery_module._finish_linking
        delivery_module._finish_linking = _die  # type: ignore[assignment]
        try:
            with pytest.raises(Crash):
                stack.deliver(delivery)
        finally:
            delivery_module._finish_linking = undisturbed
        return call()

    once = iter([lose_to_one_that_dies])
    with calls.watched(lambda number, name: next(once, None) if name == "dynamodb:TransactWriteItems" else None):
        assert stack.deliver(delivery).outcome == "duplicate"

    scenario.check(delivery, "after the loser's answer")


def _die(*arguments: Any) -> None:
    raise Crash
