"""What this stack reads of Stripe's objects: small values of our own, from Stripe's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.clock import from_unix


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    """A subscription as Stripe has it now."""

    subscription_id: str
    customer_id: str
    organization_id: str | None
    status: str
    created: int
    started_at: datetime
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool
    ended_at: datetime | None
    price_ids: tuple[str, ...]

    @property
    def is_living(self) -> bool:
        """Say whether it can still bill; https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses."""
        return self.status not in ("canceled", "incomplete_expired")


@dataclass(frozen=True, slots=True)
class StripeMeter:
    """A meter as Stripe has it; `event_time_window` is None for a raw meter."""

    meter_id: str
    event_name: str
    status: str
    formula: str
    event_time_window: str | None
    customer_key: str | None
    value_key: str | None
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """An open checkout session: where its buyer pays, and until when."""

    checkout_session_id: str
    url: str
    expires_at: datetime


def id_of(value: Any) -> str | None:
    """Return the id in a field that holds an id or, expanded, the object itself; None for anything else."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def read_subscription(item: Mapping[str, Any]) -> StripeSubscription:
    """Read a subscription; its period is on its items.

    Source: https://docs.stripe.com/api/subscription_items/object
    """
    lines = item["items"]["data"]
    starts = [line["current_period_start"] for line in lines if line.get("current_period_start") is not None]
    ends = [line["current_period_end"] for line in lines if line.get("current_period_end") is not None]
    return StripeSubscription(
        subscription_id=item["id"],
        customer_id=id_of(item["customer"]) or "",
        organization_id=(item.get("metadata") or {}).get("organization_id") or None,
        status=item["status"],
        created=item["created"],
        started_at=from_unix(item.get("start_date") or item["created"]),
        current_period_start=_seconds(min(starts, default=None)),
        current_period_end=_seconds(max(ends, default=None)),
        cancel_at_period_end=bool(item.get("cancel_at_period_end")),
        ended_at=_seconds(item.get("ended_at")),
        price_ids=tuple(sorted(line["price"]["id"] for line in lines if line.get("price"))),
    )


def read_meter(item: Mapping[str, Any]) -> StripeMeter:
    """Read a meter.

    Source: https://docs.stripe.com/api/billing/meter/object
    """
    return StripeMeter(
        meter_id=item["id"],
        event_name=item["event_name"],
        status=item["status"],
        formula=item["default_aggregation"]["formula"],
        event_time_window=item.get("event_time_window"),
        customer_key=(item.get("customer_mapping") or {}).get("event_payload_key"),
        value_key=(item.get("value_settings") or {}).get("event_payload_key"),
        display_name=item.get("display_name") or "",
    )


def _seconds(value: int | None) -> datetime | None:
    return None if value is None else from_unix(value)
