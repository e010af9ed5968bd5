"""Invoices: what Stripe bills for our meters, and until when a draft waits.

https://docs.stripe.com/api/invoices/object, https://docs.stripe.com/billing/invoices/subscription
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any

from billing.clock import from_unix
from billing.errors import StripeNotFoundError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.meters import event_names_of
from billing.stripe_gateway.objects import id_of

UNPAID_STATUSES = ("open", "uncollectible")


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A line that bills one of our meters: `quantity` in units, or (not `is_in_units`) in packages of its price."""

    event_name: str
    quantity: int
    starts_at: datetime
    ends_at: datetime
    is_in_units: bool


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """A subscription's invoice as Stripe has it now, with the lines of our meters.

    `finalizes_at` is when Stripe makes a draft final by itself; None where it does not.
    """

    invoice_id: str
    customer_id: str
    status: str
    period_start: datetime
    period_end: datetime
    finalizes_at: datetime | None
    finalized_at: datetime | None
    lines: tuple[InvoiceLine, ...]

    @property
    def starts_at(self) -> datetime:
        """Return when the usage begins that it bills."""
        return min((line.starts_at for line in self.lines), default=self.period_start)

    @property
    def ends_at(self) -> datetime:
        """Return when the usage ends that it bills."""
        return max((self.period_end, *(line.ends_at for line in self.lines)))


def retrieve_invoice(gateway: StripeGateway, invoice_id: str) -> StripeInvoice | None:
    """Return an invoice, or None where Stripe does not know it."""
    try:
        item = gateway.read(lambda client: client.v1.invoices.retrieve(invoice_id)).to_dict()
    except StripeNotFoundError:
        return None
    return _read(gateway, item)


def list_invoices(gateway: StripeGateway, subscription_id: str, created_since: datetime) -> Iterator[StripeInvoice]:
    """Yield a subscription's invoices that were made at that moment or later."""
    params = {"subscription": subscription_id, "limit": 100, "created": {"gte": int(created_since.timestamp())}}
    for item in gateway.pages("/v1/invoices", params):
        yield _read(gateway, item)


def unpaid_since(gateway: StripeGateway, subscription_id: str) -> datetime | None:
    """Return since when a subscription's payment is overdue; None where none of its newest invoices is unpaid.

    That is when the first of them became due that nobody has paid since: at its `due_date`, else when it was final. One
    that was paid after an older one that was not has made the subscription active again, and begins anew. A draft is
    not due yet, and a voided one never.
    https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
    """
    since = None
    # The newest come first.
    for item in gateway.pages("/v1/invoices", {"subscription": subscription_id, "limit": 12}):
        if item["status"] == "paid":
            break
        due = item.get("due_date") or item["status_transitions"]["finalized_at"]
        if item["status"] in UNPAID_STATUSES and due:
            since = from_unix(due)
    return since


@dataclass(frozen=True, slots=True)
class GracePeriod:
    """How long an invoice of a period's end was, or is to be, a draft; `length` is None where it stays one for good."""

    invoice_id: str
    length: timedelta | None


def list_grace_periods(gateway: StripeGateway) -> list[GracePeriod]:
    """Return the grace periods of the newest invoices that a period's end has made, of a hundred invoices in one call.

    Source: https://docs.stripe.com/billing/subscriptions/usage-based/configure-grace-period
    """
    newest = islice(gateway.pages("/v1/invoices", {"limit": 100}), 100)
    return [_grace_period(item) for item in newest if item["billing_reason"] == "subscription_cycle"]


def _grace_period(item: Mapping[str, Any]) -> GracePeriod:
    is_draft = item["status"] == "draft"
    end = item.get("automatically_finalizes_at") if is_draft else item["status_transitions"]["finalized_at"]
    return GracePeriod(item["id"], from_unix(end) - from_unix(item["created"]) if end else None)


def hold_draft(gateway: StripeGateway, invoice_id: str, until: datetime) -> StripeInvoice:
    """Have a draft made final at that moment, and return it.

    Doing it again changes nothing. https://docs.stripe.com/api/invoices/update#update_invoice-automatically_finalizes_at

    Raises:
        StripeRefusedError: it is no draft any more.
    """
    params: Any = {"auto_advance": True, "automatically_finalizes_at": int(until.timestamp())}
    return _read(gateway, gateway.read(lambda client: client.v1.invoices.update(invoice_id, params)).to_dict())


def _read(gateway: StripeGateway, item: Mapping[str, Any]) -> StripeInvoice:
    lines: Any = item["lines"]
    if lines["has_more"]:
        lines = {"data": list(gateway.pages(f"/v1/invoices/{item['id']}/lines", {"limit": 100}))}
    finalizes_at, finalized_at = item.get("automatically_finalizes_at"), item["status_transitions"]["finalized_at"]
    return StripeInvoice(
        invoice_id=item["id"],
        customer_id=id_of(item["customer"]) or "",
        status=item["status"],
        period_start=from_unix(item["period_start"]),
        period_end=from_unix(item["period_end"]),
        finalizes_at=from_unix(finalizes_at) if finalizes_at else None,
        finalized_at=from_unix(finalized_at) if finalized_at else None,
        lines=tuple(filter(None, (_line(gateway, line) for line in lines["data"]))),
    )


def _line(gateway: StripeGateway, line: Mapping[str, Any]) -> InvoiceLine | None:
    """Return a line of one of our meters; None for any other."""
    pricing = line.get("pricing") or {}
    price_id = id_of((pricing.get("price_details") or {}).get("price"))
    if price_id is None:
        return None
    price = _price(gateway, price_id)
    event_name = event_names_of(gateway, {price.meter_id}).get(price.meter_id) if price.meter_id else None
    if event_name is None:
        return None
    return InvoiceLine(
        event_name,
        int(line["quantity"] or 0),
        from_unix(line["period"]["start"]),
        from_unix(line["period"]["end"]),
        price.is_in_units,
    )


@dataclass(frozen=True, slots=True)
class _Price:
    """What never changes of a price: its meter, and whether it is charged by the unit."""

    meter_id: str | None
    is_in_units: bool


@cache
def _known_prices(gateway: StripeGateway) -> dict[str, _Price]:
    return {}


def _price(gateway: StripeGateway, price_id: str) -> _Price:
    """Return a price; Stripe is asked once a process. A line has no more of it than its id."""
    known = _known_prices(gateway)
    if price_id not in known:
        item = gateway.read(lambda client: client.v1.prices.retrieve(price_id)).to_dict()
        meter_id = id_of((item.get("recurring") or {}).get("meter"))
        known[price_id] = _Price(meter_id, item.get("transform_quantity") is None)
    return known[price_id]
