"""Deliveries at the same moment: real threads on DynamoDB Local, and the worst interleavings made on purpose."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.subscriptions import list_subscriptions
from billing.tables.stripe_events import StripeEventRecord
from billing.webhooks import delivery as delivery_module
from billing.webhooks import ledger
from billing.webhooks.decision import Reading
from programs.local.stack import Response, Stack
from stripe_simulator import Delivery
from tests.support.calls import Calls, Crash
from tests.support.faults import CrashBefore
from tests.webhooks.deliveries import fetches, one_update, updates
from tests.webhooks.stripe_state import assert_follows_stripe

TOGETHER = 50
UPDATE = "dynamodb:UpdateItem"


def delivered_together(stack: Stack, deliveries: Sequence[Delivery]) -> list[Response]:
    """Deliver all at the same moment, each in a thread of its own."""
    start = threading.Barrier(len(deliveries))

    def deliver(delivery: Delivery) -> Response:
        request = stack.request(delivery.body, delivery.headers())
        start.wait()
        response = stack.webhook_app.handler(request, None)
        return Response(response["statusCode"], {"outcome": response["body"]})

    with ThreadPoolExecutor(len(deliveries)) as threads:
        return list(threads.map(deliver, deliveries))


def test_fifty_deliveries_of_one_event_have_one_effect_and_one_record(stack: Stack, acme: str) -> None:
    before = int(stack.record("acme").version)
    (delivery,) = updates(stack, acme, 1)
    asked = fetches(stack)

    responses = delivered_together(stack, [delivery] * TOGETHER)

    assert Counter(response.status for response in responses) == {200: TOGETHER}
    outcomes = Counter(response.body["outcome"] for response in responses)
    assert outcomes == {'{"outcome": "processed"}': 1, '{"outcome": "duplicate"}': TOGETHER - 1}
    assert int(assert_follows_stripe(stack, "acme").version) == before + 1
    assert len([one for one in StripeEventRecord.scan() if one.event_id == delivery.event_id]) == 1
    assert fetches(stack) - asked <= 5


def test_fifty_deliveries_of_a_first_checkout_have_one_effect_and_one_record(stack: Stack) -> None:
    stack.subscribe("acme")
    (delivery,) = stack.simulator.webhooks.take("checkout.session.completed")[:1]

    responses = delivered_together(stack, [delivery] * TOGETHER)

    assert {response.status for response in responses} == {200}
    assert [response.body["outcome"] for response in responses].count('{"outcome": "processed"}') == 1
    assert int(assert_follows_stripe(stack, "acme").version) == 1


def test_fifty_deliveries_of_an_old_event_have_one_record(stack: Stack, acme: str) -> None:
    old, newer = updates(stack, acme, 2)
    stack.advance(minutes=5)
    stack.simulator.account.subscriptions.update(acme, {"description": "newest"})
    stack.deliver(one_update(stack))
    asked = fetches(stack)

    responses = delivered_together(stack, [old, newer] * (TOGETHER // 2))

    assert {response.status for response in responses} == {200}
    outcomes = Counter(response.body["outcome"] for response in responses)
    assert outcomes == {'{"outcome": "already_reflected"}': 2, '{"outcome": "duplicate"}': TOGETHER - 2}
    assert fetches(stack) == asked


def test_fifty_events_of_one_subscription_cost_far_fewer_than_fifty_fetches(stack: Stack, acme: str) -> None:
    before = int(stack.record("acme").version)
    deliveries = updates(stack, acme, TOGETHER)
    asked = fetches(stack)

    responses = delivered_together(stack, deliveries)

    assert {response.status for response in responses} == {200}
    asked = fetches(stack) - asked
    print(f"{TOGETHER} events of one subscription delivered together: {asked} calls to Stripe")
    assert asked <= TOGETHER / 5
    records = {one.event_id: one.outcome for one in StripeEventRecord.scan()}
    outcomes = Counter(records[delivery.event_id] for delivery in deliveries)
    assert outcomes.keys() <= {"processed", "already_reflected"}
    assert outcomes.total() == TOGETHER
    assert int(assert_follows_stripe(stack, "acme").version) == before + outcomes["processed"]


def test_a_subscription_that_changes_during_its_deliveries_ends_as_stripe_has_it(stack: Stack, acme: str) -> None:
    def change_and_deliver(number: int) -> list[int]:
        statuses = []
        for step in range(4):
            stack.simulator.account.subscriptions.set_status(acme, ("active", "past_due")[(number + step) % 2])
            for delivery in stack.simulator.webhooks.take("customer.subscription.updated"):
                statuses.append(stack.post(delivery.body, delivery.headers()).status)
        return statuses

    with ThreadPoolExecutor(8) as threads:
        statuses = [status for each in threads.map(change_and_deliver, range(8)) for status in each]
    stack.deliver_all()

    assert set(statuses) == {200}
    assert_follows_stripe(stack, "acme")


# ------------------------------------------------------------------------------------------ made to happen on purpose


def test_a_duplicate_has_no_second_effect_when_its_read_misses_the_events_record(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another delivery may record the event between this one's read and its write."""
    (delivery,) = updates(stack, acme, 1)
    assert stack.deliver(delivery).outcome == "processed"
    before = stack.record("acme")
    real, misses = ledger.read, iter([True])

    def read(event_id: str, organization_id: str) -> Reading:
        reading = real(event_id, organization_id)
        return replace(reading, is_recorded=reading.is_recorded and not next(misses, False))

    monkeypatch.setattr(ledger, "read", read)
    assert stack.deliver(delivery).outcome == "duplicate"

    after = stack.record("acme")
    assert (after.version, after.last_event_id) == (before.version, before.last_event_id)
    assert next(misses, None) is None


@pytest.fixture
def between_fetch_and_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen after the next fetch's answer was read, and before it is written."""
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", -1.0)
    monkeypatch.setattr(delivery_module, "pause", lambda attempt: None)
    waiting: list[Callable[[], Any]] = []

    def list_and_wait(gateway: StripeGateway, customer_id: str) -> Any:
        response = list_subscriptions(gateway, customer_id)
        if waiting:
            waiting.pop()()
        return response

    monkeypatch.setattr("billing.webhooks.refresh.list_subscriptions", list_and_wait)
    return waiting.append


def test_a_refresh_that_is_overtaken_between_fetch_and_write_is_thrown_away(
    stack: Stack, acme: str, between_fetch_and_write: Callable[[Callable[[], Any]], None]
) -> None:
    subscriptions = stack.simulator.account.subscriptions
    subscriptions.set_status(acme, "past_due")
    slow = one_update(stack)

    def overtake() -> None:
        subscriptions.set_status(acme, "active")
        assert stack.deliver(one_update(stack)).outcome == "processed"

    between_fetch_and_write(overtake)
    assert stack.deliver(slow).outcome == "processed"

    assert assert_follows_stripe(stack, "acme").status == "active"


def test_a_state_that_was_left_again_is_not_written_over_the_one_returned_to(
    stack: Stack, acme: str, between_fetch_and_write: Callable[[Callable[[], Any]], None]
) -> None:
    """Stripe: active, past_due, active. The delivery that fetched past_due is slow; the other one finds no change."""
    subscriptions = stack.simulator.account.subscriptions
    assert stack.record("acme").status == "active"
    subscriptions.set_status(acme, "past_due")
    slow = one_update(stack)

    def return_to_active() -> None:
        subscriptions.set_status(acme, "active")
        assert stack.deliver(one_update(stack)).status == 200

    between_fetch_and_write(return_to_active)
    assert stack.deliver(slow).status == 200

    assert assert_follows_stripe(stack, "acme").status == "active"


def test_the_end_of_a_link_stops_a_write_of_what_was_fetched_before_it(
    stack: Stack, calls: Calls, between_fetch_and_write: Callable[[Callable[[], Any]], None]
) -> None:
    """The link's own second look found nothing new, so it raised no version; what it saw was newer all the same."""
    _, subscription_id = stack.subscribe("acme")
    checkout = stack.simulator.webhooks.take("checkout.session.completed")[0]
    with (
        pytest.raises(Crash),
        calls.watched(lambda number, call: CrashBefore() if call.name == "dynamodb:UpdateItem" else None),
    ):
        stack.deliver(checkout)
    assert stack.record("acme").rearm_from is not None
    subscriptions = stack.simulator.account.subscriptions
    subscriptions.set_status(subscription_id, "past_due")
    slow = one_update(stack)

    def end_the_link() -> None:
        subscriptions.set_status(subscription_id, "active", emit=False)
        assert stack.deliver(checkout).outcome == "duplicate"
        assert stack.record("acme").rearm_from is None

    between_fetch_and_write(end_the_link)
    assert stack.deliver(slow).status == 200

    assert assert_follows_stripe(stack, "acme").status == "active"
