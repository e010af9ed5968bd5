"""What time does to a subscription: its periods end and are billed, it is renewed, or it ends.

https://docs.stripe.com/billing/subscriptions/overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.resources import StripeObject, copied
from stripe_simulator.subscription_items import begin_period, current_period_end, current_period_start

if TYPE_CHECKING:
    from stripe_simulator.account import Account

ENDED_STATUSES = ("canceled", "incomplete_expired")
_INCOMPLETE_SECONDS = 23 * 3600
"""How long Stripe waits for the first payment."""


def schedule_next(account: Account, subscription: StripeObject) -> None:
    """Schedule what happens next: the end of the period, or `cancel_at` before it."""
    at = current_period_end(subscription)
    if subscription["cancel_at"]:
        at = min(at, subscription["cancel_at"])
    account.schedule(at, lambda: _reach(account, subscription, at))


def expire_if_incomplete(account: Account, subscription: StripeObject) -> None:
    """Schedule the end of a subscription whose first payment does not come within 23 hours."""

    def expire() -> None:
        if subscription["status"] == "incomplete":
            before = copied(subscription)
            subscription.update(status="incomplete_expired", ended_at=int(account.now()))
            account.events.emit("customer.subscription.updated", subscription, before)

    account.schedule(int(account.now()) + _INCOMPLETE_SECONDS, expire)


def bill_last_period(account: Account, subscription: StripeObject) -> None:
    """Bill the usage until now of a subscription that is about to end."""
    start, now = current_period_start(subscription), int(account.now())
    is_trial = subscription["status"] == "trialing"
    account.invoice_drafts.for_period(subscription, start, now, free_usage=is_trial, is_last=True)


def end(account: Account, subscription: StripeObject, reason: str) -> None:
    """Cancel a subscription now; `reason` is Stripe's word for `cancellation_details.reason`."""
    now = int(account.now())
    subscription["status"] = "canceled"
    subscription["canceled_at"] = subscription["canceled_at"] or now
    subscription["ended_at"] = now
    subscription["cancellation_details"]["reason"] = reason
    account.events.emit("customer.subscription.deleted", subscription)


def _reach(account: Account, subscription: StripeObject, at: int) -> None:
    """Do what is due at a scheduled time; nothing where the subscription changed since."""
    if subscription["status"] in (*ENDED_STATUSES, "paused"):
        return
    is_period_end = current_period_end(subscription) == at
    is_cancelled_by_now = subscription["cancel_at"] is not None and subscription["cancel_at"] <= at
    if is_cancelled_by_now or (is_period_end and subscription["cancel_at_period_end"]):
        bill_last_period(account, subscription)
        end(account, subscription, "cancellation_requested")
    elif is_period_end:
        _renew(account, subscription, at)


def _renew(account: Account, subscription: StripeObject, at: int) -> None:
    before = copied(subscription)
    is_end_of_trial = subscription["status"] == "trialing"
    if is_end_of_trial and not account.customers.has_payment_method(subscription["customer"]):
        behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        if behavior == "cancel":
            bill_last_period(account, subscription)
            end(account, subscription, "payment_failed")
            return
        if behavior == "pause":
            subscription["status"] = "paused"
            account.events.emit("customer.subscription.paused", subscription)
            return
    if is_end_of_trial:
        subscription["status"] = "active"
    start = current_period_start(subscription)
    begin_period(subscription, at)
    account.invoice_drafts.for_period(subscription, start, at, free_usage=is_end_of_trial)
    account.events.emit("customer.subscription.updated", subscription, before)
    schedule_next(account, subscription)
