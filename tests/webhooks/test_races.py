"""Deliveries at the same moment: real threads on DynamoDB Local, and the worst interleavings made on purpose."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing import clock
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.subscriptions import list_subscriptions
from billing.tables import subscriptions as subscriptions_table
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import link_customer
from billing.webhooks import delivery as delivery_module
from billing.webhooks import ledger
from billing.webhooks.decision import Reading
from programs.local.stack import Answer, Stack
from stripe_simulator import Delivery
from tests.webhooks.calls import Calls, Crash, crash_before
from tests.webhooks.conftest import Take
from tests.webhooks.stripe_state import assert_follows_stripe

TOGETHER = 50


def delivered_together(stack: Stack, deliveries: Sequence[Delivery]) -> list[Answer]:
    """Deliver all at the same moment, each in a thread of its own."""
    start = threading.Barrier(len(deliveries))

    def deliver(delivery: Delivery) -> Answer:
        request = stack.request(delivery.body, delivery.headers())
        start.wait()
        answer = stack.webhook_app.handler(request, None)
        return Answer(answer["statusCode"], {"outcome": answer["body"]})

    with ThreadPoolExecutor(len(deliveries)) as threads:
        return list(threads.map(deliver, deliveries))


def updates(stack: Stack, subscription_id: str, how_many: int = TOGETHER) -> list[Delivery]:
    """Let a subscription change so many times; return the snapshot events of it."""
    for number in range(how_many):
        stack.simulator.account.subscriptions.update(subscription_id, {"description": str(number)})
    return [one for one in stack.simulator.webhooks.take("customer.subscription.updated") if one.payload == "snapshot"]


def fetches(stack: Stack) -> int:
    return stack.simulator.requests.total


def test_fifty_deliveries_of_one_event_have_one_effect_and_one_record(stack: Stack, acme: str) -> None:
    before = int(stack.record("acme").version)
    (delivery,) = updates(stack, acme, 1)
    asked = fetches(stack)

    answers = delivered_together(stack, [delivery] * TOGETHER)

    assert Counter(answer.status for answer in answers) == {200: TOGETHER}
    outcomes = Counter(answer.body["outcome"] for answer in answers)
    assert outcomes == {'{"outcome": "processed"}': 1, '{"outcome": "duplicate"}': TOGETHER - 1}
    assert int(assert_follows_stripe(stack, "acme").version) == before + 1
    assert len([one for one in StripeEventRecord.scan() if one.event_id == delivery.event_id]) == 1
    assert fetches(stack) - asked <= 5


def test_fifty_deliveries_of_a_first_checkout_have_one_effect_and_one_record(stack: Stack) -> None:
    stack.subscribe("acme")
    (delivery,) = stack.simulator.webhooks.take("checkout.session.completed")[:1]

    answers = delivered_together(stack, [delivery] * TOGETHER)

    assert {answer.status for answer in answers} == {200}
    assert [answer.body["outcome"] for answer in answers].count('{"outcome": "processed"}') == 1
    assert int(assert_follows_stripe(stack, "acme").version) == 1


def test_fifty_events_of_one_subscription_cost_far_fewer_than_fifty_fetches(stack: Stack, acme: str) -> None:
    before = int(stack.record("acme").version)
    deliveries = updates(stack, acme)
    asked = fetches(stack)

    answers = delivered_together(stack, deliveries)

    assert {answer.status for answer in answers} == {200}
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
    """An eventually consistent read may see the subscription as written and the event as not recorded."""
    (delivery,) = updates(stack, acme, 1)
    assert stack.deliver(delivery).outcome == "processed"
    before = stack.record("acme")
    real, misses = ledger.read, iter([True])

    def read(event_id: str, organization_id: str, *, consistent: bool) -> Reading:
        reading = real(event_id, organization_id, consistent=consistent)
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
    monkeypatch.setattr(delivery_module, "_pause", lambda attempt: None)
    waiting: list[Callable[[], Any]] = []

    def list_and_wait(gateway: StripeGateway, customer_id: str) -> Any:
        answer = list_subscriptions(gateway, customer_id)
        if waiting:
            waiting.pop()()
        return answer

    monkeypatch.setattr("billing.webhooks.refresh.list_subscriptions", list_and_wait)
    return waiting.append


def one_update(stack: Stack) -> Delivery:
    return next(one for one in stack.simulator.webhooks.take("customer.subscription.updated"))


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
        calls.watched(lambda number, name: crash_before if name == "dynamodb:UpdateItem" else None),
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


def test_an_event_that_finds_no_organisation_while_the_index_lags_is_not_lost(
    stack: Stack, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subscriptions_table.organizations_with_customer
    lags = True
    monkeypatch.setattr(
        delivery_module, "organizations_with_customer", lambda customer_id: [] if lags else real(customer_id)
    )
    _, subscription_id = stack.subscribe("acme")
    checkout = next(one for one in take() if one.event_type == "checkout.session.completed")

    def pass_by_unseen(attempt: int) -> None:
        nonlocal lags
        if lags:
            stack.simulator.account.subscriptions.set_status(subscription_id, "past_due")
            assert stack.deliver(one_update(stack)).outcome == "ignored"
            lags = False

    monkeypatch.setattr(delivery_module, "_pause", pass_by_unseen)
    assert stack.deliver(checkout).outcome == "processed"
    pass_by_unseen(0)

    assert assert_follows_stripe(stack, "acme").status == "past_due"


def test_a_delivery_is_repeated_when_the_index_lags_for_too_long(
    stack: Stack, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_pause", lambda attempt: None)
    stack.subscribe("acme")
    checkout = next(one for one in take() if one.event_type == "checkout.session.completed")
    with monkeypatch.context() as lagging:
        lagging.setattr(delivery_module, "organizations_with_customer", lambda customer_id: [])
        assert stack.deliver(checkout).status == 500
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", -1.0)

    assert stack.deliver(checkout).outcome == "duplicate"
    assert_follows_stripe(stack, "acme")


# -------------------------------------------------------------------------------------------------- calls to Stripe


@pytest.mark.parametrize(("age_seconds", "calls_to_stripe"), [(59, 1), (60, 0), (3600, 0)])
def test_an_event_a_minute_older_than_the_stored_fetch_costs_no_call_to_stripe(
    stack: Stack, acme: str, age_seconds: int, calls_to_stripe: int
) -> None:
    old, _ = updates(stack, acme, 2)
    stack.advance(seconds=age_seconds)
    (newer,) = updates(stack, acme, 1)
    stack.deliver(newer)
    asked = fetches(stack)

    outcome = stack.deliver(old).outcome

    assert fetches(stack) - asked == calls_to_stripe
    assert outcome == ("processed" if calls_to_stripe else "already_reflected")


def test_a_duplicate_and_an_ignored_type_cost_no_call_to_stripe(stack: Stack, acme: str) -> None:
    (delivery,) = updates(stack, acme, 1)
    stack.deliver(delivery)
    stack.simulator.account.customers.create({"email": "buyer@example.com"})
    ignored = stack.simulator.webhooks.take("customer.created")[0]
    asked = fetches(stack)

    assert (stack.deliver(delivery).outcome, stack.deliver(ignored).outcome) == ("duplicate", "ignored")
    assert fetches(stack) == asked


def test_an_event_is_not_taken_for_covered_by_a_fetch_that_did_not_know_its_customer(stack: Stack, acme: str) -> None:
    """A customer was linked, by the billing API, to an organisation that has a record already."""
    customer_id = stack.simulator.account.customers.create({"email": "buyer@example.com"})["id"]
    stack.subscribe("acme", customer=customer_id, in_metadata=True)
    late = [one for one in stack.simulator.webhooks.take() if one.event_type == "customer.subscription.created"]
    stack.advance(minutes=5)
    (update,) = updates(stack, acme, 1)
    stack.deliver(update)
    record = stack.record("acme")
    assert record.stripe_subscription_id == acme
    assert link_customer("acme", customer_id, record, clock.utc_now())

    assert stack.deliver(late[0]).outcome == "processed"

    assert_follows_stripe(stack, "acme")


def test_a_late_checkout_is_not_taken_for_covered_by_a_fetch_that_did_not_know_its_customer(
    stack: Stack, acme: str
) -> None:
    _, second = stack.subscribe("acme")
    late = stack.simulator.webhooks.take("checkout.session.completed")[0]
    stack.advance(minutes=5)
    (update,) = updates(stack, acme, 1)
    stack.deliver(update)

    assert stack.deliver(late).outcome == "processed"
    assert assert_follows_stripe(stack, "acme").stripe_subscription_id == second


def test_the_claim_of_a_delivery_that_died_is_waited_for_three_seconds_at_most(
    stack: Stack, acme: str, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    waited: list[float] = []

    def pause(attempt: int) -> None:
        waited.append(0.5)
        now[0] += 0.5

    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(delivery_module, "_pause", pause)
    (delivery,) = updates(stack, acme, 1)
    with pytest.raises(Crash), calls.watched(lambda number, name: crash_before if name == "stripe" else None):
        stack.deliver(delivery)
    assert stack.record("acme").refreshing_since is not None

    assert stack.deliver(delivery).outcome == "processed"
    assert 2.5 <= sum(waited) <= 3
    assert_follows_stripe(stack, "acme")


def test_the_pauses_last_longer_than_a_claim_and_shorter_than_the_functions_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    for attempt in range(delivery_module.ATTEMPTS):
        delivery_module._pause(attempt)

    assert ledger.CLAIM_SECONDS < sum(pauses) < timedelta(seconds=12).total_seconds()
