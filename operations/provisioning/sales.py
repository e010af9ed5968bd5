"""Meters, products and prices: the account against billing/meters.py and the file.

https://docs.stripe.com/billing/subscriptions/usage-based/meters/configure, https://docs.stripe.com/api/prices
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from billing.metering.meter_check import meter_faults
from billing.meters import METERS, Meter
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.catalogue import (
    create_price,
    create_product,
    list_active_prices,
    list_prices_by_lookup_key,
    retrieve_product,
    update_price,
    update_product,
)
from billing.stripe_gateway.meters import create_meter, list_meters, reactivate_meter, rename_meter
from billing.stripe_gateway.objects import StripeMeter, id_of
from operations.provisioning.catalogue import Catalogue, Price, Product
from operations.provisioning.steps import Action, Step


class Sales:
    """What is sold, against the account.

    `meter_ids` and `price_ids` hold what exists, and grow as steps are carried out.
    """

    def __init__(self, catalogue: Catalogue, gateway: StripeGateway) -> None:
        self._catalogue = catalogue
        self._gateway = gateway
        self.meter_ids: dict[str, str] = {}
        self.price_ids: dict[str, str] = {}

    def plan(self) -> Iterator[Step]:
        """Yield the steps in an order in which they can be carried out."""
        yield from self._plan_meters()
        for product in self._catalogue.products:
            yield self._plan_product(product)
        prices = list_prices_by_lookup_key(self._gateway, self._catalogue.lookup_keys)
        for product in self._catalogue.products:
            for price in product.prices:
                yield self._plan_price(price, product, prices.get(price.lookup_key))
        yield from self._other_prices()

    # --- meters

    def _plan_meters(self) -> Iterator[Step]:
        stripe_meters = list_meters(self._gateway)
        for meter in METERS:
            same_name = [existing for existing in stripe_meters if existing.event_name == meter.event_name]
            active = [existing for existing in same_name if existing.status == "active"]
            yield self._plan_meter(meter, next(iter(active or same_name), None))
        our_names = {meter.event_name for meter in METERS}
        for existing in stripe_meters:
            if existing.event_name not in our_names and existing.status == "active":
                detail = "in Stripe only: billing/meters.py has no such meter"
                yield Step(Action.NOTE, f"meter {existing.event_name}", detail)

    def _plan_meter(self, meter: Meter, existing: StripeMeter | None) -> Step:
        subject = f"meter {meter.event_name}"
        if existing is None:
            detail = f"{meter.display_name!r}, formula {meter.formula}, event_time_window hour"
            return Step(Action.CREATE, subject, detail, lambda: self._create_meter(meter))
        faults = meter_faults(meter, existing)
        if faults:
            return Step(Action.REFUSE, subject, "; ".join(faults))
        self.meter_ids[meter.event_name] = existing.meter_id
        if existing.status != "active":
            return Step(
                Action.UPDATE, subject, "reactivate it", lambda: reactivate_meter(self._gateway, existing.meter_id)
            )
        if existing.display_name != meter.display_name:
            detail = f"display name {existing.display_name!r} → {meter.display_name!r}"
            return Step(
                Action.UPDATE,
                subject,
                detail,
                lambda: rename_meter(self._gateway, existing.meter_id, meter.display_name),
            )
        raw = "" if existing.event_time_window == "hour" else " (raw: harmless where the last value counts)"
        return Step(Action.KEEP, subject, existing.meter_id + raw)

    def _create_meter(self, meter: Meter) -> None:
        self.meter_ids[meter.event_name] = create_meter(
            self._gateway, meter.event_name, meter.formula, meter.display_name
        )

    # --- products

    def _plan_product(self, product: Product) -> Step:
        subject = f"product {product.product_id}"
        wanted = {"name": product.name, "description": product.description or None, "active": True}
        existing = retrieve_product(self._gateway, product.product_id)
        if existing is None:
            params = {"id": product.product_id, **_without_none(wanted)}
            return Step(
                Action.CREATE,
                subject,
                repr(product.name),
                lambda: create_product(self._gateway, params),
            )
        changed = {name: value for name, value in wanted.items() if existing.get(name) != value}
        if not changed:
            return Step(Action.KEEP, subject)
        params = {name: "" if value is None else value for name, value in changed.items()}
        return Step(
            Action.UPDATE,
            subject,
            _differences(existing, changed),
            lambda: update_product(self._gateway, product.product_id, params),
        )

    # --- prices

    def _plan_price(self, price: Price, product: Product, existing: Mapping[str, Any] | None) -> Step:
        subject = f"price {price.lookup_key}"
        if existing is None:
            amount = f"unit_amount {price.unit_amount:f} {self._catalogue.currency}"
            detail = f"{amount}, meter {price.meter}, each {price.interval}"
            return Step(Action.CREATE, subject, detail, lambda: self._create_price(price, product))
        current, wanted_for_good = self._unchangeable(price, product, existing)
        fixed = {name: value for name, value in wanted_for_good.items() if current[name] != value}
        if fixed:
            return Step(
                Action.REFUSE,
                subject,
                f"{_differences(current, fixed)}; Stripe cannot change that: give the new price another lookup_key",
            )
        self.price_ids[price.lookup_key] = existing["id"]
        wanted = {"nickname": price.nickname or None, "active": True}
        changed = {name: value for name, value in wanted.items() if existing.get(name) != value}
        if not changed:
            return Step(Action.KEEP, subject, existing["id"])
        params = {name: "" if value is None else value for name, value in changed.items()}
        return Step(
            Action.UPDATE,
            subject,
            _differences(existing, changed),
            lambda: update_price(self._gateway, existing["id"], params),
        )

    def _unchangeable(
        self, price: Price, product: Product, existing: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        recurring = existing.get("recurring") or {}
        current = {
            "product": id_of(existing.get("product")),
            "currency": existing.get("currency"),
            "unit_amount": Decimal(
                str(existing.get("unit_amount_decimal") or existing.get("unit_amount") or 0)
            ).normalize(),
            "interval": recurring.get("interval"),
            "interval_count": recurring.get("interval_count"),
            "usage_type": recurring.get("usage_type"),
            "meter": recurring.get("meter"),
        }
        wanted = {
            "product": product.product_id,
            "currency": self._catalogue.currency,
            "unit_amount": price.unit_amount.normalize(),
            "interval": price.interval,
            "interval_count": 1,
            "usage_type": "metered",
            # A meter that is yet to be made cannot be that of a price that exists.
            "meter": self.meter_ids.get(price.meter, f"a new {price.meter}"),
        }
        return current, wanted

    def _create_price(self, price: Price, product: Product) -> None:
        params = _without_none(
            {
                "product": product.product_id,
                "currency": self._catalogue.currency,
                "unit_amount_decimal": f"{price.unit_amount:f}",
                "lookup_key": price.lookup_key,
                "nickname": price.nickname or None,
                "recurring": {
                    "interval": price.interval,
                    "usage_type": "metered",
                    "meter": self.meter_ids[price.meter],
                },
            }
        )
        self.price_ids[price.lookup_key] = create_price(self._gateway, params)

    def _other_prices(self) -> Iterator[Step]:
        for product in self._catalogue.products:
            for item in list_active_prices(self._gateway, product.product_id):
                if item.get("lookup_key") not in self._catalogue.lookup_keys:
                    name = item.get("lookup_key") or item["id"]
                    yield Step(Action.NOTE, f"price {name}", f"in Stripe only, active, of {product.product_id}")


def _without_none(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _differences(before: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_as_text(before.get(name))} → {_as_text(value)}" for name, value in changed.items())


def _as_text(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else "nothing" if value is None else str(value)
