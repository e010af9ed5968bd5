"""The items of a subscription, and the billing period that each of them is in.

https://docs.stripe.com/api/subscription_items and https://docs.stripe.com/billing/subscriptions/billing-cycle
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stripe_simulator.errors import ApiError, invalid_parameter
from stripe_simulator.parameters import boolean, integer, merged_metadata, required, text
from stripe_simulator.resources import StripeObject

if TYPE_CHECKING:
    from stripe_simulator.account import Account


def add_item(
    account: Account, subscription: StripeObject, entry: Any, param: str, start: int, end: int | None = None
) -> StripeObject:
    """Add the item that a parameter describes, and return it.

    Its period is from `start` to `end`, in Unix seconds; without `end` it lasts one interval of the price.

    Raises:
        ApiError: 400 for an unknown price, or one that does not recur.
    """
    if not isinstance(entry, dict):
        raise invalid_parameter("items", "Invalid array", "parameter_invalid_array")
    price = account.prices.require(str(required(entry, "price")), f"{param}[price]")
    recurring = price["recurring"]
    if recurring is None:
        raise invalid_parameter(
            f"{param}[price]", "The price specified is set to `type=one_time`; it must be recurring."
        )
    item: StripeObject = {
        "id": account.new_id("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": int(account.now()),
        "current_period_start": start,
        "current_period_end": end or period_end(start, start, recurring["interval"], recurring["interval_count"]),
        "current_trial": None,
        "discounts": [],
        "metadata": merged_metadata({}, entry),
        "plan": _plan(price),
        "price": price,
        "subscription": subscription["id"],
        "tax_rates": [],
    }
    if recurring["usage_type"] == "licensed":
        item["quantity"] = integer(entry, "quantity") or 1
    subscription["currency"] = price["currency"]
    subscription["items"]["data"].append(item)
    subscription["items"]["url"] = f"/v1/subscription_items?subscription={subscription['id']}"
    return item


def update_item(account: Account, subscription: StripeObject, entry: Any, param: str, *, is_billed: bool) -> None:
    """Add, change or remove the item that a parameter describes.

    A metered item that is removed or gets another price bills its usage so far with the next invoice, if `is_billed`.

    Raises:
        ApiError: 400 for an unknown item or price, or where the last item would be removed.
    """
    items = subscription["items"]["data"]
    item_id = text(entry, "id") if isinstance(entry, dict) else None
    if item_id is None:
        now = int(account.now())
        added = add_item(account, subscription, entry, param, now, current_period_end(subscription))
        account.invoice_drafts.begin_item(added)
        return
    item = next((item for item in items if item["id"] == item_id), None)
    if item is None:
        raise invalid_parameter(f"{param}[id]", f"No such subscription item: '{item_id}'", "resource_missing")
    if boolean(entry, "deleted"):
        if len(items) == 1:
            raise ApiError(400, "A subscription must have at least one active item.", param=f"{param}[deleted]")
        if is_billed:
            account.invoice_drafts.end_item(subscription, item)
        items.remove(item)
        return
    if text(entry, "price") not in (None, item["price"]["id"]):
        price = account.prices.require(str(entry["price"]), f"{param}[price]")
        if is_billed:
            account.invoice_drafts.end_item(subscription, item)
        account.invoice_drafts.begin_item(item)
        item.update(price=price, plan=_plan(price))
    if integer(entry, "quantity") is not None:
        item["quantity"] = integer(entry, "quantity")


def _plan(price: StripeObject) -> StripeObject:
    """Return a recurring price in the shape of Stripe's older plans, which items still have."""
    recurring = price["recurring"]
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    return {name: price[name] for name in same} | {
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "meter": recurring["meter"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": price["transform_quantity"],
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }


def current_period_start(subscription: StripeObject) -> int:
    """Return when the period that a subscription is in began, in Unix seconds."""
    return min((item["current_period_start"] for item in subscription["items"]["data"]), default=0)


def current_period_end(subscription: StripeObject) -> int:
    """Return when the period that a subscription is in ends, in Unix seconds."""
    return min((item["current_period_end"] for item in subscription["items"]["data"]), default=0)


def begin_period(subscription: StripeObject, start: int) -> None:
    """Let the next period of every item begin at a moment in Unix seconds."""
    anchor = subscription["billing_cycle_anchor"]
    for item in subscription["items"]["data"]:
        recurring = item["price"]["recurring"]
        item["current_period_start"] = start
        item["current_period_end"] = period_end(start, anchor, recurring["interval"], recurring["interval_count"])


def period_end(start: int, anchor: int, interval: str, count: int = 1) -> int:
    """Return when the period that starts at `start` ends, in Unix seconds.

    Months keep the anchor's day of the month where they have it, else end on their last day.
    """
    if interval in ("day", "week"):
        return start + count * (86400 if interval == "day" else 7 * 86400)
    begins, anchored = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(anchor, UTC)
    months = begins.year * 12 + begins.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    day = min(anchored.day, calendar.monthrange(year, month + 1)[1])
    return int(anchored.replace(year=year, month=month + 1, day=day).timestamp())
