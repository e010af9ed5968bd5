"""Prices: https://docs.stripe.com/api/prices."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from stripe_simulator.errors import ApiError, invalid_parameter, missing_parameter, no_such
from stripe_simulator.parameters import (
    Params,
    boolean,
    integer,
    mapping,
    merged_metadata,
    one_of,
    page_limit,
    required,
    sequence,
    text,
)
from stripe_simulator.resources import Resource, StripeObject, copied, page, synchronized


@synchronized
class Prices(Resource):
    """The account's prices. A recurring price with a `meter` bills that meter's usage."""

    resource_name = "price"

    def create(self, params: Params) -> StripeObject:
        """Create a price.

        Raises:
            ApiError: 400 for a missing amount, an unknown product or meter, or a lookup key that is taken.
        """
        price: StripeObject = {
            "id": self.account.new_id("price", 24),
            "object": "price",
            "active": boolean(params, "active") is not False,
            "billing_scheme": "per_unit",
            "created": int(self.account.now()),
            "currency": str(required(params, "currency")).lower(),
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": None,
            "metadata": merged_metadata({}, params),
            "nickname": text(params, "nickname"),
            "product": self._product(params),
            "recurring": self._recurring(params),
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": self._transform_quantity(params),
        }
        price["type"] = "recurring" if price["recurring"] else "one_time"
        price["unit_amount"], price["unit_amount_decimal"] = self._amount(params)
        self._take_lookup_key(price, params)
        self.objects[price["id"]] = price
        self.account.events.emit("price.created", price)
        return copied(price)

    def retrieve(self, price_id: str) -> StripeObject:
        """Return a price, or raise a 404."""
        return copied(self._find(price_id))

    def require(self, price_id: str, param: str) -> StripeObject:
        """Return the price a parameter names, or raise a 400 that names the parameter."""
        return copied(self._find(price_id, param, 400))

    def update(self, price_id: str, params: Params) -> StripeObject:
        """Change whether a price is active, its nickname, metadata or lookup key; its amount never changes."""
        price = self._find(price_id)
        for name in ("unit_amount", "unit_amount_decimal", "currency", "recurring", "product"):
            if name in params:
                raise invalid_parameter(name, f"Received unknown parameter: {name}", "parameter_unknown")
        before = copied(price)
        active = boolean(params, "active")
        price["active"] = price["active"] if active is None else active
        if "nickname" in params:
            price["nickname"] = text(params, "nickname")
        price["metadata"] = merged_metadata(price["metadata"], params)
        if "lookup_key" in params:
            self._take_lookup_key(price, params)
        self.account.events.emit("price.updated", price, before)
        return copied(price)

    def list(self, params: Params) -> StripeObject:
        """List prices, newest first, by `active`, `product`, `type`, `lookup_keys` and `recurring[meter]`."""
        active, product, price_type = boolean(params, "active"), text(params, "product"), text(params, "type")
        keys = sequence(params, "lookup_keys")
        meter = text(mapping(params, "recurring"), "meter")
        page_limit(params)
        matching = [
            price
            for price in reversed(self.objects.values())
            if active in (None, price["active"])
            and product in (None, price["product"])
            and price_type in (None, price["type"])
            and (not keys or price["lookup_key"] in keys)
            and (meter is None or (price["recurring"] or {}).get("meter") == meter)
        ]
        return copied(page(matching, params, "/v1/prices"))

    def _product(self, params: Params) -> str:
        if mapping(params, "product_data"):
            return str(self.account.products.create(mapping(params, "product_data"))["id"])
        product_id = str(required(params, "product"))
        if product_id not in self.account.products.objects:
            raise no_such("product", product_id, "product", 400)
        return product_id

    def _recurring(self, params: Params) -> StripeObject | None:
        recurring = mapping(params, "recurring")
        if not recurring:
            return None
        interval = one_of(recurring, "interval", ("day", "week", "month", "year"))
        if interval is None:
            raise missing_parameter("recurring[interval]")
        usage_type = one_of(recurring, "usage_type", ("licensed", "metered")) or "licensed"
        meter = text(recurring, "meter")
        if meter is not None:
            if meter not in self.account.meters.objects:
                raise no_such("billing meter", meter, "recurring[meter]", 400)
            if self.account.meters.objects[meter]["status"] != "active":
                raise invalid_parameter("recurring[meter]", "The meter is not active.")
            if usage_type != "metered":
                raise invalid_parameter("recurring[usage_type]", "A price with a meter must have usage_type metered.")
        elif usage_type == "metered":
            # https://docs.stripe.com/changelog/basil/2025-03-31/deprecate-legacy-usage-based-billing
            raise missing_parameter("recurring[meter]")
        return {
            "interval": interval,
            "interval_count": integer(recurring, "interval_count") or 1,
            "meter": meter,
            "trial_period_days": None,
            "usage_type": usage_type,
        }

    def _transform_quantity(self, params: Params) -> StripeObject | None:
        transform = mapping(params, "transform_quantity")
        if not transform:
            return None
        if integer(transform, "divide_by") is None or text(transform, "round") is None:
            raise missing_parameter(
                "transform_quantity[divide_by]" if "round" in transform else "transform_quantity[round]"
            )
        return {"divide_by": integer(transform, "divide_by"), "round": one_of(transform, "round", ("down", "up"))}

    def _amount(self, params: Params) -> tuple[int | None, str]:
        whole, exact = integer(params, "unit_amount"), text(params, "unit_amount_decimal")
        if whole is not None:
            return whole, str(whole)
        if exact is None:
            raise missing_parameter("unit_amount")
        try:
            amount = Decimal(exact)
        except InvalidOperation:
            raise invalid_parameter("unit_amount_decimal", f"Invalid decimal: {exact}") from None
        return int(amount) if amount == int(amount) else None, exact

    def _take_lookup_key(self, price: StripeObject, params: Params) -> None:
        key = text(params, "lookup_key")
        for other in self.objects.values():
            if key is not None and other["lookup_key"] == key and other is not price:
                if not boolean(params, "transfer_lookup_key"):
                    raise ApiError(
                        400,
                        f"A price (`{other['id']}`) already uses that lookup key.",
                        param="lookup_key",
                        saved=True,
                    )
                other["lookup_key"] = None
        price["lookup_key"] = key
