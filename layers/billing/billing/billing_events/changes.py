"""Which change of an item is which event: decided from the item before and after. Nothing here does I/O.

docs/events.md describes the events, docs/events/ has a schema of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from billing.clock import format_time
from billing.metered_subscriptions import BillingPeriod
from billing.periods import Period

DetailType = Literal[
    "SubscriptionChanged", "AccessChanged", "UsageRefused", "InvoiceClosed", "InvoiceDiffers", "UsageThresholdReached"
]
VERSION = "1"
# What an event says of a subscription; a change of anything else in its record is nobody's business.
SUBSCRIPTION = (
    "stripe_customer_id",
    "stripe_subscription_id",
    "status",
    "price_ids",
    "started_at",
    "current_period_start",
    "current_period_end",
    "trial_end",
    "past_due_since",
    "cancel_at",
    "cancel_at_period_end",
    "ended_at",
)
NO_ACCESS = {"access": "denied", "reason": "no_subscription", "until": None}


@dataclass(frozen=True, slots=True)
class BillingEvent:
    """An event: `detail` is what is its own; `discriminator` tells several of one type and record apart."""

    detail_type: DetailType
    detail: Mapping[str, Any]
    discriminator: str = ""


@dataclass(frozen=True, slots=True)
class SubscriptionImage:
    """An organisation's record as it was: its attributes by name, without those that cannot be read."""

    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subscription(self) -> dict[str, Any] | None:
        """Return what an event says of the subscription; None where the record has none."""
        if not self.values.get("stripe_subscription_id"):
            return None
        told = {name: _told(self.values.get(name)) for name in SUBSCRIPTION}
        return told | {
            "price_ids": sorted(self.values.get("price_ids") or ()),
            "cancel_at_period_end": bool(self.values.get("cancel_at_period_end")),
        }

    @property
    def access(self) -> dict[str, Any] | None:
        """Return what an event says of access; None where none is stored."""
        if not self.values.get("access"):
            return None
        names = {"access": "access", "reason": "access_reason", "until": "access_until"}
        return {told: _told(self.values.get(name)) for told, name in names.items()}


@dataclass(frozen=True, slots=True)
class HourImage:
    """An hour as it was: its start, and why it cannot be billed."""

    window_start: str
    refused: str | None


def subscription_events(
    before: SubscriptionImage | None, after: SubscriptionImage | None, *, is_retold: bool
) -> Iterator[BillingEvent]:
    """Yield what a change of an organisation's record tells; (None) there was, or is, no record.

    One that `is_retold` tells what it is now, as if nothing had been known before.
    """
    old, new = before or SubscriptionImage(), after or SubscriptionImage()
    if is_retold:
        old = SubscriptionImage()
    if old.subscription != new.subscription:
        yield BillingEvent("SubscriptionChanged", {"before": old.subscription, "after": new.subscription})
    access = new.access if after is not None else NO_ACCESS
    if access is not None and access != old.access:
        yield BillingEvent("AccessChanged", {"before": old.access, "after": access})


def hour_events(before: HourImage | None, after: HourImage | None, *, is_retold: bool) -> Iterator[BillingEvent]:
    """Yield what a change of an hour tells: that it cannot be billed, and why."""
    if after is None or after.refused is None:
        return
    if is_retold or before is None or before.refused != after.refused:
        code, _, message = after.refused.partition(":")
        detail = {"window_start": after.window_start, "reason": code, "message": message.strip()}
        yield BillingEvent("UsageRefused", detail)


def period_events(before: Period | None, after: Period | None, *, is_retold: bool) -> Iterator[BillingEvent]:
    """Yield what a change of a period tells: that it is closed, with which numbers, and what differs."""
    if after is None:
        return
    closed = _closed(after)
    if closed is not None and (is_retold or before is None or closed != _closed(before)):
        yield BillingEvent("InvoiceClosed", closed)
    differs = _differs(after)
    known = _differs(Period(after.span) if before is None or is_retold else before)
    if (differs["differences"], differs["missing"]) != (known["differences"], known["missing"]):
        yield BillingEvent("InvoiceDiffers", differs)
    yield from _reached({} if before is None or is_retold else before.reached, after)


def _reached(known: Mapping[str, Mapping[str, int]], period: Period) -> Iterator[BillingEvent]:
    """Yield the limits that a period has reached since, the lowest first."""
    for name, limits in sorted(period.reached.items()):
        for limit in sorted(limits, key=int):
            if limit not in known.get(name, {}):
                detail = {**_of_period(period.span), "meter": name, "limit": int(limit), "counted": limits[limit]}
                yield BillingEvent("UsageThresholdReached", detail, f"{name}/{limit}")


def _closed(period: Period) -> dict[str, Any] | None:
    """Return what an event says of a settled period; None while it is open."""
    if not period.is_settled:
        return None
    meters = _meters(period, with_last_hour=period.last_hour_is == "here")
    if not period.last_hour_is and not _is_exact(meters):
        # Nothing was used in its last hour, so its invoice does not show whose the hours of its two boundaries are.
        with_last_hour = _meters(period, with_last_hour=True)
        meters = with_last_hour if _is_exact(with_last_hour) else meters
    return {
        **_of_period(period.span),
        "state": period.state,
        "stripe_invoice_ids": sorted(period.invoices),
        "meters": meters,
        # What is used on trial costs nothing, whatever its lines say.
        "agrees": not period.is_damaged and (_is_exact(meters) or period.span.is_trial),
    }


def _meters(period: Period, *, with_last_hour: bool) -> dict[str, dict[str, int]]:
    names = sorted({*period.meters, *period.counted, *(name for each in period.carried.values() for name in each)})
    return {
        name: {
            "counted": period.counted_as(name, with_last_hour=with_last_hour),
            "invoiced": period.invoiced(name),
            "carried": period.carried_in(name),
        }
        for name in names
    }


def _is_exact(meters: Mapping[str, Mapping[str, int]]) -> bool:
    return all(meter["invoiced"] == meter["counted"] + meter["carried"] for meter in meters.values())


def _differs(period: Period) -> dict[str, Any]:
    return {
        **_of_period(period.span),
        "stripe_invoice_ids": sorted(period.invoices),
        "differences": {code: dict(totals) for code, totals in period.told.items() if totals},
        "missing": sorted(period.missing),
    }


def _of_period(span: BillingPeriod) -> dict[str, Any]:
    return {
        "stripe_subscription_id": span.subscription_id,
        "stripe_customer_id": span.customer_id or None,
        "period": {"starts_at": _told(span.starts_at), "ends_at": _told(span.ends_at)},
        "is_trial": span.is_trial,
    }


def _told(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value
