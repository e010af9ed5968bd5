"""What the tables have to hold, worked out from the simulator's own state and from nothing of the code under test."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.stack import Stack
from stripe_simulator import Delivery
from tests.support.access_reference import assert_access

ENDED = ("canceled", "incomplete_expired")


def subscription_to_follow(stack: Stack, organization_id: str) -> dict[str, Any]:
    """Return the newest subscription of an organisation's customers that bills, else that lives, else the newest."""
    theirs = [
        one
        for one in stack.simulator.account.subscriptions.objects.values()
        if one["customer"] in stack.customers[organization_id]
    ]
    living = [one for one in theirs if one["status"] not in ENDED]
    billing = [one for one in living if one["status"] in ("active", "trialing", "past_due")]
    return max(billing or living or theirs, key=lambda one: (one["created"], one["id"]))


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def assert_follows_stripe(stack: Stack, organization_id: str, context: object = "") -> SubscriptionRecord:
    """Assert that an organisation's record is Stripe's state, and nothing is left half done; return it."""
    record, theirs = stack.record(organization_id), subscription_to_follow(stack, organization_id)
    items = theirs["items"]["data"]
    assert {
        "stripe_customer_id": record.stripe_customer_id,
        "stripe_subscription_id": record.stripe_subscription_id,
        "status": record.status,
        "current_period_start": record.current_period_start,
        "current_period_end": record.current_period_end,
        "cancel_at_period_end": record.cancel_at_period_end,
        "ended_at": record.ended_at,
        "price_ids": sorted(record.price_ids or ()),
    } == {
        "stripe_customer_id": theirs["customer"],
        "stripe_subscription_id": theirs["id"],
        "status": theirs["status"],
        "current_period_start": _moment(min(item["current_period_start"] for item in items)),
        "current_period_end": _moment(max(item["current_period_end"] for item in items)),
        "cancel_at_period_end": theirs["cancel_at_period_end"],
        "ended_at": _moment(theirs["ended_at"]),
        "price_ids": sorted(item["price"]["id"] for item in items),
    }, context
    assert record.rearm_from is None, context
    assert_access(stack, theirs, context)
    return record


def assert_recorded_once(deliveries: Collection[Delivery], context: object = "") -> None:
    """Assert that the events of some deliveries, and no others, have a record."""
    recorded = sorted(record.event_id for record in StripeEventRecord.scan(consistent_read=True))
    assert recorded == sorted({delivery.event_id for delivery in deliveries}), context
