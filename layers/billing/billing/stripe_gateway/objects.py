"""What this stack reads of Stripe's objects: small values of our own, from Stripe's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.clock import from_unix
from billing.organizations import is_organization_id

# In the metadata of what provisioning makes, where Stripe has no name that we choose.
MANAGED_BY = "sensor-billing"


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    """A subscription as Stripe has it now.

    `meters` are the event names of our meters that it sells, in order; the period is that of the item which sells one
    of them and ends first, for items may have different periods. `past_due_since` is None where it is not past due, or
    none of its invoices is unpaid: of a subscription itself Stripe does not say it.
    """

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
    meters: tuple[str, ...] = ()
    cancel_at: datetime | None = None
    trial_end: datetime | None = None
    past_due_since: datetime | None = None

    @property
    def is_living(self) -> bool:
        """Say whether it can still bill; https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses."""
        return self.status not in ("canceled", "incomplete_expired")

    @property
    def bills(self) -> bool:
        """Say whether Stripe invoices it now, and expects the invoice to be paid."""
        return self.status in ("active", "trialing", "past_due")

    @property
    def has_begun(self) -> bool:
        """Say whether its checkout was finished: as long as the first payment is open it sells nothing."""
        return self.status not in ("incomplete", "incomplete_expired")


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


@dataclass(frozen=True, slots=True)
class CheckoutOptions:
    """What a checkout offers beside its prices, by Stripe's names.

    `missing_payment_method` is there where a trial begins without a payment method: what happens at its end if there
    is none still.
    """

    automatic_tax: bool = False
    tax_id_collection: bool = False
    billing_address_collection: str = "auto"
    allow_promotion_codes: bool = False
    trial_period_days: int = 0
    missing_payment_method: str | None = None
    locale: str = "auto"


def id_of(value: Any) -> str | None:
    """Return the id in a field that holds an id or, expanded, the object itself; None for anything else."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def meter_ids_of(item: Mapping[str, Any]) -> set[str]:
    """Return the ids of the meters by which a subscription bills, ours and others."""
    return {meter_id for line in item["items"]["data"] if (meter_id := _meter_id(line)) is not None}


def _meter_id(line: Mapping[str, Any]) -> str | None:
    price = line.get("price") or {}
    return id_of((price.get("recurring") or {}).get("meter"))


def read_subscription(item: Mapping[str, Any], event_names: Mapping[str, str]) -> StripeSubscription:
    """Read a subscription; its period is on its items. `event_names` has our meters' event names by Stripe's id.

    Source: https://docs.stripe.com/api/subscription_items/object
    """
    lines = item["items"]["data"]
    metered = [line for line in lines if _meter_id(line) in event_names]
    periods = [line for line in metered or lines if line.get("current_period_end") is not None]
    named = (item.get("metadata") or {}).get("organization_id")
    period: Mapping[str, Any] = min(periods, key=lambda line: line["current_period_end"], default={})
    return StripeSubscription(
        subscription_id=item["id"],
        customer_id=id_of(item["customer"]) or "",
        organization_id=named if is_organization_id(named) else None,
        status=item["status"],
        created=item["created"],
        started_at=from_unix(item.get("start_date") or item["created"]),
        current_period_start=_seconds(period.get("current_period_start")),
        current_period_end=_seconds(period.get("current_period_end")),
        cancel_at_period_end=bool(item.get("cancel_at_period_end")),
        ended_at=_seconds(item.get("ended_at")),
        price_ids=tuple(sorted(line["price"]["id"] for line in lines if line.get("price"))),
        meters=tuple(sorted({event_names[str(_meter_id(line))] for line in metered})),
        cancel_at=_seconds(item.get("cancel_at")),
        trial_end=_seconds(item.get("trial_end")),
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
