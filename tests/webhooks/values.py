"""Values of a webhook's decisions, to be made and changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.stripe_gateway.objects import StripeSubscription
from billing.webhooks.choice import Fetched, Found, StoredSubscription, choose
from billing.webhooks.events import Pointer, StripeEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GRACE = timedelta(days=7)

READINGS = ("temperature_readings",)
POINTER = Pointer("sub_1", "cus_1", None)
EVENT = StripeEvent("evt_1", "customer.subscription.updated", int(NOON.timestamp()), is_thin=False, subject={})
STORED = StoredSubscription(
    "acme",
    stripe_customer_id="cus_1",
    stripe_subscription_id="sub_1",
    customer_ids={"cus_1"},
    fetched_at=NOON - HOUR,
    fetched_from=6,
    version=7,
)


def subscription(**changes: Any) -> StripeSubscription:
    values: dict[str, Any] = {
        "subscription_id": "sub_1",
        "customer_id": "cus_1",
        "organization_id": None,
        "status": "active",
        "created": int(NOON.timestamp()),
        "started_at": NOON,
        "current_period_start": NOON,
        "current_period_end": NOON + timedelta(days=30),
        "cancel_at_period_end": False,
        "ended_at": None,
        "price_ids": ("price_1",),
        "meters": READINGS,
    }
    return StripeSubscription(**(values | changes))


def fetched(*subscriptions: StripeSubscription, record: StoredSubscription | None = None) -> Fetched:
    chosen = choose(Found(subscriptions, {"cus_1"}, NOON), record)
    assert chosen is not None
    return chosen


STORED = replace(STORED, metered_subscriptions=fetched(subscription()).metered_subscriptions)
COVERING = replace(STORED, fetched_at=NOON + timedelta(minutes=1))
LINKING = replace(COVERING, rearm_from=NOON - HOUR)
