"""Values of metering's decisions, to be made and changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from billing.clock import format_time
from billing.metered_subscriptions import MeteredSubscription
from billing.metering.hour import Declaration, Link, Refusal, UsageHour
from billing.metering.plan import (
    plan,
)

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
NOW = HOUR + timedelta(hours=1, minutes=5)


def hour(**changes: Any) -> UsageHour:
    values: dict[str, Any] = {
        "organization_id": "acme",
        "window_start": format_time(HOUR),
        "counts": {"active_sensors": {"N": "3"}, "temperature_readings": {"N": "120"}},
        "version": None,
        "revision": 0,
        "reported": {},
        "reported_under": {},
        "reported_to": None,
        "was_reported": False,
        "sending": None,
        "sending_since": "",
        "doubt_until": "",
        "others_until": "",
    }
    return UsageHour(**(values | changes))


def link(**changes: Any) -> Link:
    values: dict[str, Any] = {"customer_id": "cus_acme", "subscriptions": (subscription(),), "version": 1}
    return Link(**(values | changes))


def subscription(**changes: Any) -> MeteredSubscription:
    values: dict[str, Any] = {
        "subscription_id": "sub_acme",
        "customer_id": "cus_acme",
        "started_at": HOUR - timedelta(days=9),
        "ended_at": None,
        "meters": ("active_sensors",),
    }
    return MeteredSubscription(**(values | changes))


def declared(usage_hour: UsageHour, now: datetime = NOW) -> Declaration:
    declaration = plan(usage_hour, link(), now)
    assert isinstance(declaration, Declaration)
    return declaration


def refused(usage_hour: UsageHour, its_link: Link | None, now: datetime = NOW) -> str:
    refusal = plan(usage_hour, its_link, now)
    assert isinstance(refusal, Refusal)
    return refusal.code
