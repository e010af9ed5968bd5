"""Whatever the order and repetition of an organisation's deliveries, its record ends as Stripe has it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.stack import Stack
from tests.webhooks.conftest import Take
from tests.webhooks.stripe_state import assert_follows_stripe, assert_recorded_once

Life = Callable[[Stack, str, bool], None]


def subscribed(stack: Stack, organization_id: str, in_metadata: bool) -> str:
    """Subscribe: as a new customer by the seller's word; by the buyer's only as the one that the organisation has."""
    customer_id = None if in_metadata else next(iter(stack.customers.get(organization_id, ())), None)
    return stack.subscribe(organization_id, customer=customer_id, in_metadata=in_metadata)[1]


def checkout_alone(stack: Stack, organization_id: str, in_metadata: bool) -> None:
    subscribed(stack, organization_id, in_metadata)


def checkout_and_cancellation(stack: Stack, organization_id: str, in_metadata: bool) -> None:
    stack.simulator.account.subscriptions.cancel(subscribed(stack, organization_id, in_metadata))


def two_changes_in_one_second(stack: Stack, organization_id: str, in_metadata: bool) -> None:
    subscription_id = subscribed(stack, organization_id, in_metadata)
    stack.deliver_all()
    stack.advance(seconds=30)
    for status in ("past_due", "active", "past_due"):
        stack.simulator.account.subscriptions.set_status(subscription_id, status)
    stack.simulator.account.subscriptions.cancel(subscription_id)


def second_checkout_and_late_end_of_the_first(stack: Stack, organization_id: str, in_metadata: bool) -> None:
    first = subscribed(stack, organization_id, in_metadata)
    stack.deliver_all()
    stack.advance(hours=2)
    subscribed(stack, organization_id, in_metadata)
    stack.simulator.account.subscriptions.cancel(first)


def end_of_the_second_while_the_first_lives_on(stack: Stack, organization_id: str, in_metadata: bool) -> None:
    subscribed(stack, organization_id, in_metadata)
    stack.deliver_all()
    stack.advance(hours=2)
    stack.simulator.account.subscriptions.cancel(subscribed(stack, organization_id, in_metadata))


LIVES = (
    checkout_alone,
    checkout_and_cancellation,
    two_changes_in_one_second,
    second_checkout_and_late_end_of_the_first,
    end_of_the_second_while_the_first_lives_on,
)

# All of the short ones, some of the others: the rest is for `make test-deep`.
HOW_MANY_ORDERS: dict[Life, int] = {checkout_alone: 24, checkout_and_cancellation: 24}


@pytest.mark.parametrize("in_metadata", [True, False], ids=["metadata", "reference-only"])
@pytest.mark.parametrize("payload", ["snapshot", "thin"])
@pytest.mark.parametrize("life", LIVES)
def test_every_order_of_a_short_life_ends_in_stripes_state(
    stack: Stack, take: Take, life: Life, payload: str, in_metadata: bool
) -> None:
    for number in range(1000):
        organization_id = f"acme-{number}"
        life(stack, organization_id, in_metadata)
        waiting = take()
        checkouts = [one for one in waiting if one.event_type == "checkout.session.completed"]
        deliveries = [one for one in waiting if one.payload == payload and one not in checkouts] + checkouts
        orders = list(itertools.permutations(range(len(deliveries))))
        # The same seed in every round: round n takes order n of the same shuffled list.
        random.Random(0).shuffle(orders)
        if number == min(len(orders), HOW_MANY_ORDERS.get(life, 6)):
            return
        order = orders[number]
        for position in order:
            assert stack.deliver(deliveries[position]).status == 200
        assert_follows_stripe(stack, organization_id, [deliveries[position].event_type for position in order])


@pytest.mark.deep
@pytest.mark.parametrize("in_metadata", [True, False], ids=["metadata", "reference-only"])
@pytest.mark.parametrize("life", LIVES)
def test_every_order_of_both_kinds_of_events_ends_in_stripes_state(
    stack: Stack, take: Take, life: Life, in_metadata: bool
) -> None:
    for number in range(200):
        organization_id = f"acme-{number}"
        life(stack, organization_id, in_metadata)
        deliveries = take()
        random.Random(number).shuffle(deliveries)
        for delivery in deliveries:
            assert stack.deliver(delivery).status == 200
        assert_follows_stripe(stack, organization_id, [delivery.event_type for delivery in deliveries])


# ------------------------------------------------------------------------------------------------- single promises


def test_an_event_is_recorded_with_its_outcome_and_expires_after_ninety_days(stack: Stack, acme: str) -> None:
    stack.simulator.account.subscriptions.update(acme, {"description": "new"})
    delivery = stack.simulator.webhooks.take("customer.subscription.updated")[0]

    assert stack.deliver(delivery).outcome == "processed"

    record, event = StripeEventRecord.get(delivery.event_id), delivery.event()
    assert (record.event_type, record.outcome, record.organization_id) == (event["type"], "processed", "acme")
    assert record.created == event["created"]
    assert record.expires_at == record.processed_at.timestamp() + 90 * 86400
    assert stack.record("acme").last_event_id == delivery.event_id
    assert stack.record("acme").refreshing_since is None, "the claim ends with the write"


def test_a_duplicate_changes_nothing(stack: Stack, acme: str) -> None:
    stack.simulator.account.subscriptions.update(acme, {"description": "new"})
    delivery = stack.simulator.webhooks.take("customer.subscription.updated")[0]
    stack.deliver(delivery)
    before = stack.record("acme").serialize()
    stack.simulator.account.subscriptions.set_status(acme, "past_due", emit=False)

    assert stack.deliver(delivery).outcome == "duplicate"
    assert stack.record("acme").serialize() == before


def test_the_late_end_of_a_first_subscription_never_replaces_the_second(stack: Stack) -> None:
    _, first = stack.subscribe("acme", in_metadata=True)
    stack.deliver_all()
    stack.advance(hours=2)
    stack.simulator.account.subscriptions.cancel(first)
    late = stack.simulator.webhooks.take()
    customer_id, second = stack.subscribe("acme", in_metadata=True)
    stack.deliver_all()
    stack.advance(hours=2)

    stack.deliver_all(late)

    record = assert_follows_stripe(stack, "acme")
    assert (record.stripe_customer_id, record.stripe_subscription_id) == (customer_id, second)


def test_the_record_returns_to_an_earlier_customers_subscription_when_the_newer_one_ends(stack: Stack) -> None:
    customer_id, first = stack.subscribe("acme", in_metadata=True)
    stack.deliver_all()
    stack.advance(hours=2)
    _, second = stack.subscribe("acme", in_metadata=True)
    stack.deliver_all()
    assert stack.record("acme").stripe_subscription_id == second
    stack.advance(hours=2)
    stack.simulator.account.subscriptions.cancel(second)
    stack.deliver_all()

    record = assert_follows_stripe(stack, "acme")
    assert (record.stripe_customer_id, record.stripe_subscription_id) == (customer_id, first)


def test_nothing_is_invented_when_nobody_here_knows_the_subscription(stack: Stack) -> None:
    stack.subscribe("stranger", in_metadata=False)
    deliveries = [one for one in stack.simulator.webhooks.take() if one.event_type != "checkout.session.completed"]

    assert {response.outcome for response in stack.deliver_all(deliveries)} == {"ignored"}
    assert list(SubscriptionRecord.scan()) == []
    assert_recorded_once(deliveries)


def test_nothing_is_invented_when_stripe_does_not_know_the_subscription(stack: Stack) -> None:
    stack.subscribe("acme", in_metadata=True)
    deliveries = stack.simulator.webhooks.take()
    stack.simulator.account.subscriptions.objects.clear()

    assert {response.outcome for response in stack.deliver_all(deliveries)} == {"ignored"}
    assert list(SubscriptionRecord.scan()) == []


def test_the_first_organisation_keeps_a_customer_that_a_second_one_claims(stack: Stack, acme: str) -> None:
    customer_id = stack.record("acme").stripe_customer_id
    stack.subscribe("other", customer=customer_id, in_metadata=True)

    assert "ignored" in {response.outcome for response in stack.deliver_all()}
    assert SubscriptionRecord.of("other") is None
    assert stack.record("acme").stripe_customer_id == customer_id
