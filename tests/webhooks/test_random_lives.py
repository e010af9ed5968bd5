"""Lives at random, their events in any order and repetition: the record ends as Stripe has it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from programs.local import tables
from programs.local.stack import Stack
from stripe_simulator import Delivery
from tests.support.calls import Calls
from tests.webhooks.conftest import Take
from tests.webhooks.stripe_state import assert_follows_stripe, assert_recorded_once

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

ACTIONS = (
    "update",
    "past_due",
    "active",
    "pause",
    "resume",
    "ends",
    "cancel",
    "cancel_newest",
    "checkout",
    "invoice",
    "wait",
    "later",
)
STEPS = st.lists(
    st.one_of(
        st.sampled_from(ACTIONS),
        # Deliver one of those that wait, and perhaps let it wait on: it comes again.
        st.tuples(st.integers(0, 30), st.booleans()),
    ),
    max_size=25,
)


def act(stack: Stack, action: str, in_metadata: bool) -> None:
    """Let something happen in Stripe to the organisation's latest subscription."""
    subscriptions = stack.simulator.account.subscriptions
    theirs = [one for one in subscriptions.objects.values() if one["customer"] in stack.customers["acme"]]
    latest = max(theirs, key=lambda one: one["created"])
    is_living, subscription_id = latest["status"] != "canceled", latest["id"]
    if action == "wait":
        stack.advance(seconds=1)
    elif action == "later":
        stack.advance(seconds=75)
    elif action == "checkout":
        # Two subscriptions of one second have no newest.
        stack.advance(seconds=1)
        # By the buyer's word alone nobody gets another customer.
        customer_id = None if in_metadata else latest["customer"]
        stack.subscribe("acme", customer=customer_id, in_metadata=in_metadata)
    elif action in ("cancel", "cancel_newest"):
        living = [one["id"] for one in theirs if one["status"] != "canceled"]
        if living:
            subscriptions.cancel(living[0 if action == "cancel" else -1])
    elif not is_living:
        return
    elif action == "update":
        subscriptions.update(subscription_id, {"description": str(len(stack.simulator.webhooks.deliveries))})
    elif action == "ends":
        subscriptions.update(subscription_id, {"cancel_at_period_end": not latest["cancel_at_period_end"]})
    elif action == "pause":
        subscriptions.pause(subscription_id)
    elif action == "resume" and latest["status"] == "paused":
        subscriptions.resume(subscription_id)
    elif action == "invoice":
        invoice = stack.simulator.account.invoices.preview({"subscription": subscription_id})
        subscriptions.set_status(subscription_id, "past_due", emit=False)
        stack.simulator.account.events.emit("invoice.payment_failed", invoice)
    elif action in ("past_due", "active") and latest["status"] != "paused":
        subscriptions.set_status(subscription_id, action)


def written_by_deliveries(calls: Calls) -> int:
    return calls.names.count("dynamodb:TransactWriteItems")


LIFE: dict[str, Any] = {
    "steps": STEPS,
    "in_metadata": st.booleans(),
    "payload": st.sampled_from(["snapshot", "thin", None]),
    "randomness": st.randoms(use_true_random=False),
}
OF_ONE_STACK: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


class Post:
    """The deliveries that wait, and those made: of one payload or both."""

    def __init__(self, stack: Stack, take: Take, payload: str | None) -> None:
        self.stack, self.take, self.payload = stack, take, payload
        self.waiting: list[Delivery] = []
        self.delivered: list[Delivery] = []

    def collect(self) -> None:
        # Checkouts and invoices have no thin events: what only they tell is told by snapshots in every life.
        self.waiting.extend(
            one
            for one in self.take()
            if self.payload in (None, one.payload) or one.event_type.startswith(("checkout.", "invoice."))
        )

    def deliver(self, delivery: Delivery) -> None:
        outcome = self.stack.deliver(delivery).outcome
        known = delivery.event_id in {one.event_id for one in self.delivered}
        assert (outcome == "duplicate") == known
        self.delivered.append(delivery)

    def deliver_one(self, number: int, *, waits_on: bool) -> None:
        self.collect()
        if self.waiting:
            position = number % len(self.waiting)
            self.deliver(self.waiting[position])
            if not waits_on:
                del self.waiting[position]

    def deliver_rest(self, randomness: random.Random) -> None:
        """Deliver what waits, and some of the others once more, in any order."""
        self.collect()
        rest = self.waiting + [one for one in self.delivered if randomness.random() < 0.2]
        randomness.shuffle(rest)
        for delivery in rest:
            self.deliver(delivery)


def live(stack: Stack, dynamodb: DynamoDBClient, take: Take, calls: Calls, **life: Any) -> None:
    steps, in_metadata, payload, randomness = (life[name] for name in LIFE)
    tables.empty_tables(dynamodb)
    stack.simulator.webhooks.take()
    stack.customers.clear()
    stack.subscribe("acme", in_metadata=in_metadata)
    post = Post(stack, take, payload)
    with calls.watched():
        for step in steps:
            if isinstance(step, str):
                act(stack, step, in_metadata)
            else:
                post.deliver_one(step[0], waits_on=step[1])
        post.deliver_rest(randomness)
        writes = written_by_deliveries(calls)

    record = assert_follows_stripe(stack, "acme", [one.event_type for one in post.delivered])
    assert int(record.version) == writes
    assert_recorded_once(post.delivered)


@settings(max_examples=20, **OF_ONE_STACK)
@given(**LIFE)
def test_random_lives_in_random_orders_end_in_stripes_state(
    stack: Stack, dynamodb: DynamoDBClient, take: Take, calls: Calls, **life: Any
) -> None:
    live(stack, dynamodb, take, calls, **life)


@pytest.mark.deep
@settings(max_examples=400, **OF_ONE_STACK)
@given(**LIFE)
def test_many_random_lives_in_random_orders_end_in_stripes_state(
    stack: Stack, dynamodb: DynamoDBClient, take: Take, calls: Calls, **life: Any
) -> None:
    live(stack, dynamodb, take, calls, **life)
