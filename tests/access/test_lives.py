"""Lives in which payments fail, are made up for and written off: access is right at every moment of each.

The events of a life come in any order, doubled and late. Whenever all have come, the answer is compared with what
Stripe's own state says (`tests/support/access_reference.py`), and from then on at every moment until something happens
at Stripe again.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import clock, record_readings
from billing.access.reading import access_of
from billing.clock import from_unix
from programs.local import tables
from programs.local.stack import Stack
from stripe_simulator import Delivery
from tests.support.access_reference import assert_access, expected_access
from tests.webhooks.stripe_state import subscription_to_follow

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

ACTIONS = (
    "card fails",
    "card fails",
    "card works",
    "period ends",
    "period ends",
    "days go by",
    "days go by",
    "pays",
    "is voided",
    "is written off",
    "is to end",
    "is not to end",
    "ends",
    "is unpaid",
    "pauses",
    "resumes",
    "subscribes",
)


class AccessLife:
    """A life of one organisation, every choice of it from one seed."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.random = stack, random.Random(seed)
        self.story: list[str] = []
        self.known: list[Delivery] = []
        self.states: set[tuple[str, str]] = set()
        self.checked = 0
        # As new: what lived before would go on living.
        now = clock.utc_now()
        stack.simulator.reset()
        stack.simulator.clock.set(now)
        stack.make_meters()
        stack.add_destinations()
        stack.customers.clear()
        self.stack.subscribe("acme", trial_days=self.random.choice([0, 0, 3, 30]))

    @property
    def followed(self) -> dict[str, Any]:
        return subscription_to_follow(self.stack, "acme")

    def act(self, action: str) -> None:
        account, followed = self.stack.simulator.account, self.followed
        is_living = followed["status"] not in ("canceled", "incomplete_expired")
        owed = [
            invoice["id"]
            for invoice in account.invoices.objects.values()
            if invoice["status"] in ("open", "uncollectible")
        ]
        self.story.append(action)
        if action.startswith("card"):
            outcome: Any = "paid" if action == "card works" else "payment_failed"
            account.customers.set_payment_outcome(followed["customer"], outcome)
        elif action == "period ends":
            self._use()
            self._to(from_unix(max(item["current_period_end"] for item in followed["items"]["data"])))
            self.stack.advance(hours=self.random.choice([0, 1, 3]))
        elif action == "days go by":
            self.stack.advance(days=self.random.randint(1, 8), seconds=self.random.choice([0, 1]))
        elif action == "pays" and owed:
            account.customers.set_payment_outcome(followed["customer"], "paid")
            account.invoices.pay(self.random.choice(owed))
        elif action == "is voided" and owed:
            account.invoices.void(self.random.choice(owed))
        elif action == "is written off" and owed:
            invoice_id = self.random.choice(owed)
            if account.invoices.objects[invoice_id]["status"] == "open":
                account.invoices.mark_uncollectible(invoice_id)
        elif action == "subscribes" and not is_living:
            self.stack.advance(seconds=1)
            self.stack.subscribe("acme", trial_days=self.random.choice([0, 3]))
        elif is_living:
            self._change(action, followed)

    def _change(self, action: str, followed: dict[str, Any]) -> None:
        subscriptions = self.stack.simulator.account.subscriptions
        if action in ("is to end", "is not to end"):
            subscriptions.update(followed["id"], {"cancel_at_period_end": action == "is to end"})
        elif action == "ends":
            subscriptions.cancel(followed["id"])
        elif action == "is unpaid" and followed["status"] == "past_due":
            subscriptions.set_status(followed["id"], "unpaid")
        elif action == "pauses" and followed["status"] == "active":
            subscriptions.pause(followed["id"])
        elif action == "resumes" and followed["status"] == "paused":
            subscriptions.resume(followed["id"])

    def _use(self) -> None:
        """Count readings, so that there is something to pay, and tell Stripe."""
        record_readings("acme", 100, clock.utc_now())
        self.stack.advance(hours=1)
        self.stack.meter()

    def _to(self, moment: Any) -> None:
        self.stack.simulator.clock.set(max(moment, clock.utc_now()))

    def deliver(self) -> None:
        """Deliver what has happened and some of what had come before, in any order, so that nothing is missing."""
        waiting = self.stack.simulator.webhooks.take()
        again = [delivery for delivery in self.known if self.random.random() < 0.1]
        order = [*waiting, *again]
        self.random.shuffle(order)
        for delivery in order:
            assert self.stack.deliver(delivery).status == 200
        # An invoice's event that came before its customer's checkout found nobody: Stripe's next ones tell the same.
        self.known += waiting

    def check(self) -> None:
        """Compare now, and at every moment at which the answer may change before Stripe does anything again."""
        assert_access(self.stack, self.followed, self.story)
        self._note()
        for _ in range(3):
            access = access_of(self.stack.record("acme"), clock.utc_now())
            following = self.stack.simulator.account.next_change_at()
            if access.until is None or (following is not None and access.until >= from_unix(following)):
                return
            for moment in (access.until - timedelta(seconds=1), access.until):
                self._to(moment)
                assert_access(self.stack, self.followed, [*self.story, f"until {access.until}"])
                self._note()

    def _note(self) -> None:
        self.checked += 1
        self.states.add(expected_access(self.stack, self.followed)[:2])


def live(stack: Stack, dynamodb: DynamoDBClient, seed: int) -> AccessLife:
    tables.empty_tables(dynamodb)
    life = AccessLife(stack, seed)
    life.deliver()
    for _ in range(life.random.randint(4, 14)):
        life.act(life.random.choice(ACTIONS))
        if life.random.random() < 0.5:
            life.deliver()
            life.check()
    life.deliver()
    life.check()
    return life


@pytest.mark.parametrize("lives", [25, pytest.param(1500, marks=pytest.mark.deep)])
def test_access_is_right_at_every_moment_of_every_life(
    stack: Stack, dynamodb: DynamoDBClient, lives: int, request: pytest.FixtureRequest
) -> None:
    states: set[tuple[str, str]] = set()
    checked = 0
    for seed in range(lives):
        life = live(stack, dynamodb, seed)
        states |= life.states
        checked += life.checked

    assert {("allowed", "active"), ("grace", "past_due"), ("denied", "past_due"), ("denied", "canceled")} <= states
    told = f"access: {lives} lives, {checked} moments, {len(states)} kinds of answers, none wrong"
    request.node.user_properties.append(("exploration", told))
