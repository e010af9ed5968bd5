"""What an invoice bills: a line for each item of its subscription, priced by usage or by quantity.

https://docs.stripe.com/api/invoice-line-item
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from stripe_simulator.resources import StripeObject, page

if TYPE_CHECKING:
    from stripe_simulator.account import Account


def costs_in_advance(subscription: StripeObject) -> bool:
    """Say whether a subscription costs anything before there is usage."""
    items = subscription["items"]["data"]
    return any(item.get("quantity") and Decimal(item["price"]["unit_amount_decimal"]) for item in items)


@dataclass
class Bill:
    """What an invoice bills, as it was when the invoice was made, and `lines`: all of them, in Stripe's order.

    `items` are the subscription's with the moment since which each is unbilled, `pending` the lines that waited for
    an invoice, `started` is the start of the subscription. With `free_usage` the usage costs nothing, and
    `Settings.trial_usage` says whether it is shown; with `usage_only` there are no licensed items; `is_last` is the
    period in which the subscription ends, which pays none in advance.
    """

    items: list[tuple[StripeObject, int]]
    started: int
    pending: list[StripeObject] = field(default_factory=list)
    free_usage: bool = False
    usage_only: bool = False
    is_last: bool = False
    lines: list[StripeObject] = field(default_factory=list)

    def set_lines(self, invoice: StripeObject, lines: list[StripeObject]) -> None:
        """Make these the invoice's lines, except those of nothing, which flexible billing has not.

        The invoice itself shows the first ten, as Stripe's lists do.
        """
        self.lines = [_on_invoice(line, invoice) for line in lines if line["quantity"]]
        invoice["lines"] = page(self.lines, {}, f"/v1/invoices/{invoice['id']}/lines")
        total = sum(line["amount"] for line in self.lines)
        for name in (
            "subtotal",
            "subtotal_excluding_tax",
            "total",
            "total_excluding_tax",
            "amount_due",
            "amount_remaining",
        ):
            invoice[name] = total


def set_first_lines(invoice: StripeObject, subscription: StripeObject, bill: Bill) -> None:
    """Bill the first period of a new subscription: licensed items in advance."""
    free = subscription["status"] == "trialing"
    lines = []
    for item, _ in bill.items:
        period = (item["current_period_start"], item["current_period_end"])
        if not item["price"]["recurring"]["meter"]:
            lines.append(_line(item, period, item.get("quantity") or 0, free=free))
    bill.set_lines(invoice, lines)


def set_period_lines(account: Account, invoice: StripeObject, bill: Bill) -> None:
    """Bill the invoice's period as it stands now: metered items by their usage, licensed items in advance."""
    start, end = invoice["period_start"], invoice["period_end"]
    lines = list(bill.pending)
    for item, unbilled_since in bill.items:
        if item["price"]["recurring"]["usage_type"] != "metered":
            if not (bill.usage_only or bill.is_last):
                lines.append(_line(item, (start, end), item.get("quantity") or 0, free=False))
        elif not bill.free_usage or account.settings.trial_usage == "shown":
            lines.append(usage_line(account, invoice["customer"], item, (max(start, unbilled_since), end), bill))
    bill.set_lines(invoice, lines)


def usage_line(
    account: Account, customer_id: str, item: StripeObject, period: tuple[int, int], bill: Bill
) -> StripeObject:
    """Return a line for the usage of a metered item in a period; Stripe bills a negative sum as nothing.

    https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api
    """
    start, end = period
    event_name = account.meters.objects[item["price"]["recurring"]["meter"]]["event_name"]
    is_first = start <= bill.started
    usage = max(
        0,
        account.meter_events.aggregate(customer_id, event_name, start, end, is_first=is_first, is_last=bill.is_last),
    )
    line = _line(item, period, usage, free=bill.free_usage)
    if account.settings.line_quantity == "packages":
        line["quantity"] = _packages(item["price"], usage)
        line["quantity_decimal"] = str(line["quantity"])
    return line


def invoice_item_line(account: Account, line: StripeObject) -> StripeObject:
    """Return a subscription item's line as that of an invoice item, which waits for the next invoice."""
    details = {
        "invoice_item": account.new_id("ii", 24),
        "proration": False,
        "proration_details": None,
        "subscription": line["subscription"],
    }
    parent = {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}
    return line | {"parent": parent}


def quantity_of_meter(account: Account, lines: list[StripeObject], meter_id: str) -> int:
    """Return what lines bill for a meter."""
    quantity = 0
    for line in lines:
        price = account.prices.objects[line["pricing"]["price_details"]["price"]]
        if (price["recurring"] or {}).get("meter") == meter_id:
            quantity += line["quantity"]
    return quantity


def _packages(price: StripeObject, quantity: int) -> int:
    """Return how often a price is charged for a quantity: once a unit, or once a package of `transform_quantity`."""
    transform = price["transform_quantity"]
    if transform is None:
        return quantity
    up = transform["round"] == "up"
    return -(-quantity // transform["divide_by"]) if up else quantity // int(transform["divide_by"])


def _line(item: StripeObject, period: tuple[int, int], quantity: int, *, free: bool) -> StripeObject:
    price = item["price"]
    exact = Decimal(0) if free else _packages(price, quantity) * Decimal(price["unit_amount_decimal"])
    amount = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    return {
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": f"{quantity} × {price['nickname'] or price['product']}",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
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


def _on_invoice(line: StripeObject, invoice: StripeObject) -> StripeObject:
    """Return a line as it is on an invoice; it keeps its identifier as long as it is on this one."""
    parent = line["parent"]
    invoice_item, item = parent["invoice_item_details"], parent["subscription_item_details"]
    source = invoice_item["invoice_item"] if invoice_item else item["subscription_item"]
    return line | {"id": f"il_{invoice['id'][3:]}{source[3:]}", "invoice": invoice["id"]}
