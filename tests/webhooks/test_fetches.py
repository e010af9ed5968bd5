"""Which deliveries ask Stripe, and which are covered by what another one has fetched."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from billing import clock
from billing.tables.customers import link_customer
from billing.webhooks import ledger, linking
from programs.local.stack import Stack
from tests.support.calls import Calls, Crash
from tests.support.faults import CrashBefore
from tests.webhooks.deliveries import fetches, updates
from tests.webhooks.stripe_state import assert_follows_stripe


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
    monkeypatch.setattr("billing.webhooks.delivery.pause", pause)
    (delivery,) = updates(stack, acme, 1)
    with pytest.raises(Crash), calls.watched(lambda number, call: CrashBefore() if call.name == "stripe" else None):
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
    for attempt in range(linking.ATTEMPTS):
        linking.pause(attempt)

    assert ledger.CLAIM_SECONDS < sum(pauses) < timedelta(seconds=12).total_seconds()
