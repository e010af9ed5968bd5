"""What an invoice bills: a line for each item of its subscription, priced by usage or by quantity.

https://docs.stripe.com/api/invoice-line-item
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from stripe_simulator.resources import StripeObject

if TYPE_CHECKING:
    from stripe_simulator.account import Account


def costs_in_advance(subscription: StripeObject) -> bool:
    """Say whether a subscription costs anything before there is usage."""
    items = subscription["items"]["data"]
    return any(item.get("quantity") and Decimal(item["price"]["unit_amount_decimal"]) for item in items)


def set_first_lines(invoice: StripeObject, subscription: StripeObject) -> None:
    """Bill the first period of a new subscription: licensed items in advance."""
    free = subscription["status"] == "trialing"
    lines = []
    for item in subscription["items"]["data"]:
        period = (item["current_period_start"], item["current_period_end"])
        if not item["price"]["recurring"]["meter"]:
            lines.append(_line(invoice, item, period, item.get("quantity") or 0, free=free))
    _set_lines(invoice, lines)


def set_period_lines(
    account: Account,
    invoice: StripeObject,
    subscription: StripeObject,
    *,
    free_usage: bool = False,
    usage_only: bool = False,
    is_last: bool = False,
) -> None:
    """Bill the invoice's period as it stands now: metered items by their usage, licensed items in advance.

    A canceled subscription pays no licensed item in advance. With `free_usage` the usage costs nothing, and
    `Settings.trial_usage` says whether it is shown; with `usage_only` there are no licensed items; `is_last` is the
    period in which the subscription ends.
    """
    is_first = invoice["period_start"] <= subscription["start_date"]
    period = (invoice["period_start"], invoice["period_end"])
    lines = []
    for item in subscription["items"]["data"]:
        recurring = item["price"]["recurring"]
        if recurring["usage_type"] != "metered" and (usage_only or subscription["status"] == "canceled"):
            continue
        if recurring["usage_type"] != "metered":
            lines.append(_line(invoice, item, period, item.get("quantity") or 0, free=False))
        elif not free_usage or account.settings.trial_usage == "shown":
            usage = _usage(account, invoice, recurring["meter"], is_first=is_first, is_last=is_last)
            line = _line(invoice, item, period, usage, free=free_usage)
            if account.settings.line_quantity == "packages":
                line["quantity"] = _packages(item["price"], usage)
                line["quantity_decimal"] = str(line["quantity"])
            lines.append(line)
    _set_lines(invoice, lines)


def quantity_of_meter(account: Account, invoice: StripeObject, meter_id: str) -> int:
    """Return what an invoice's lines bill for a meter."""
    quantity = 0
    for line in invoice["lines"]["data"]:
        price = account.prices.objects[line["pricing"]["price_details"]["price"]]
        if (price["recurring"] or {}).get("meter") == meter_id:
            quantity += line["quantity"]
    return quantity


def _usage(account: Account, invoice: StripeObject, meter_id: str, *, is_first: bool, is_last: bool) -> int:
    """Return what a meter counts in a period; Stripe bills a negative sum as nothing.

    https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api
    """
    event_name = account.meters.objects[meter_id]["event_name"]
    usage = account.meter_events.aggregate(
        invoice["customer"],
        event_name,
        invoice["period_start"],
        invoice["period_end"],
        is_first=is_first,
        is_last=is_last,
    )
    return max(0, usage)


def _packages(price: StripeObject, quantity: int) -> int:
    """Return how often a price is charged for a quantity: once a unit, or once a package of `transform_quantity`."""
    transform = price["transform_quantity"]
    if transform is None:
        return quantity
    up = transform["round"] == "up"
    return -(-quantity // transform["divide_by"]) if up else quantity // int(transform["divide_by"])


def _line(
    invoice: StripeObject, item: StripeObject, period: tuple[int, int], quantity: int, *, free: bool
) -> StripeObject:
    price = item["price"]
    exact = Decimal(0) if free else _packages(price, quantity) * Decimal(price["unit_amount_decimal"])
    amount = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    return {
        "id": f"il_{invoice['id'][3:]}{item['id'][3:]}",
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": f"{quantity} × {price['nickname'] or price['product']}",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": {},
        "parent": _parent(item),
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": item["subscription"],
        "subtotal": amount,
        "taxes": [],
    }


def _parent(item: StripeObject) -> StripeObject:
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": None,
            "subscription": item["subscription"],
            "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }


def _set_lines(invoice: StripeObject, lines: list[StripeObject]) -> None:
    # Flexible billing has no lines of nothing.
    lines = [line for line in lines if line["quantity"]]
    invoice["lines"]["data"] = lines
    total = sum(line["amount"] for line in lines)
    for name in (
        "subtotal",
        "subtotal_excluding_tax",
        "total",
        "total_excluding_tax",
        "amount_due",
        "amount_remaining",
    ):
        invoice[name] = total
