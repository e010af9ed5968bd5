"""Prices: their meters and lookup keys."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

pytestmark = pytest.mark.enable_socket


def test_a_metered_price_carries_its_meter_and_lookup_key(client: stripe.StripeClient, price: Any) -> None:
    assert price.recurring.usage_type == "metered"
    assert price.recurring.meter.startswith("mtr_")
    assert (price.unit_amount, str(price.unit_amount_decimal)) == (None, "0.5")
    params: Any = {"lookup_keys": ["readings"], "expand": ["data.product"]}
    found: Any = client.v1.prices.list(params).data[0]
    assert (found.id, found.product.name) == (price.id, "Readings")


def test_a_lookup_key_is_moved_only_on_request(client: stripe.StripeClient, price: Any) -> None:
    params: Any = {"currency": "usd", "unit_amount": 1, "product": price.product, "lookup_key": "readings"}
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        client.v1.prices.create(params)
    moved = client.v1.prices.create(params | {"transfer_lookup_key": True})
    assert moved.lookup_key == "readings"
    assert client.v1.prices.retrieve(price.id).lookup_key is None


def test_a_metered_price_needs_a_meter_that_exists(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "x"}).id
    for recurring in ({"usage_type": "metered"}, {"usage_type": "metered", "meter": "mtr_x"}):
        params: Any = {
            "currency": "usd",
            "unit_amount": 1,
            "product": product,
            "recurring": {"interval": "month", **recurring},
        }
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.prices.create(params)
