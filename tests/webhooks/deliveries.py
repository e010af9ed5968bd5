"""What the tests deliver: changes of one subscription; and how often Stripe is asked for it."""

from __future__ import annotations

from programs.local.stack import Stack
from stripe_simulator import Delivery


def updates(stack: Stack, subscription_id: str, how_many: int) -> list[Delivery]:
    """Let a subscription change so many times; return the snapshot events of it."""
    for number in range(how_many):
        stack.simulator.account.subscriptions.update(subscription_id, {"description": str(number)})
    return [one for one in stack.simulator.webhooks.take("customer.subscription.updated") if one.payload == "snapshot"]


def fetches(stack: Stack) -> int:
    return stack.simulator.requests.total


def one_update(stack: Stack) -> Delivery:
    return next(one for one in stack.simulator.webhooks.take("customer.subscription.updated"))
