"""Products and prices, as provisioning makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billing.batches import batches
from billing.errors import StripeNotFoundError
from billing.stripe_gateway.calls import StripeGateway

# A list of prices takes at most ten lookup keys: https://docs.stripe.com/api/prices/list
MOST_LOOKUP_KEYS = 10


def retrieve_product(gateway: StripeGateway, product_id: str) -> dict[str, Any] | None:
    """Return a product, or None where Stripe does not know it."""
    try:
        product: dict[str, Any] = gateway.read(lambda client: client.v1.products.retrieve(product_id)).to_dict()
    except StripeNotFoundError:
        return None
    return product


def create_product(gateway: StripeGateway, params: Mapping[str, Any]) -> None:
    """Create a product; https://docs.stripe.com/api/products/create."""
    body: Any = dict(params)
    gateway.once(lambda client: client.v1.products.create(body))


def update_product(gateway: StripeGateway, product_id: str, params: Mapping[str, Any]) -> None:
    """Change a product; https://docs.stripe.com/api/products/update."""
    body: Any = dict(params)
    gateway.once(lambda client: client.v1.products.update(product_id, body))


def retrieve_price(gateway: StripeGateway, price_id: str) -> dict[str, Any] | None:
    """Return a price, or None where Stripe does not know it."""
    try:
        price: dict[str, Any] = gateway.read(lambda client: client.v1.prices.retrieve(price_id)).to_dict()
    except StripeNotFoundError:
        return None
    return price


def list_prices_by_lookup_key(gateway: StripeGateway, lookup_keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the prices that have one of these lookup keys, by lookup key."""
    return {
        price["lookup_key"]: price
        for keys in batches(lookup_keys, MOST_LOOKUP_KEYS)
        for price in gateway.pages("/v1/prices", {"lookup_keys": list(keys), "limit": 100})
    }


def list_active_prices(gateway: StripeGateway, product_id: str) -> list[dict[str, Any]]:
    """Return the active prices of a product."""
    return list(gateway.pages("/v1/prices", {"product": product_id, "active": True, "limit": 100}))


def create_price(gateway: StripeGateway, params: Mapping[str, Any]) -> str:
    """Create a price and return its id; https://docs.stripe.com/api/prices/create."""
    body: Any = dict(params)
    return gateway.once(lambda client: client.v1.prices.create(body)).id


def update_price(gateway: StripeGateway, price_id: str, params: Mapping[str, Any]) -> None:
    """Change what Stripe lets change of a price; https://docs.stripe.com/api/prices/update."""
    body: Any = dict(params)
    gateway.once(lambda client: client.v1.prices.update(price_id, body))
