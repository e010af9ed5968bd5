"""The file of what is sold: products, and their metered prices."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from billing.errors import ConfigurationError
from billing.meters import METERS

DEFAULT_PATH = Path(__file__).parents[1] / "catalogue.toml"
INTERVALS = ("day", "week", "month", "year")


@dataclass(frozen=True, slots=True)
class Price:
    """Hold a metered price; `unit_amount` is in the currency's smallest unit."""

    lookup_key: str
    nickname: str
    meter: str
    unit_amount: Decimal
    interval: str


@dataclass(frozen=True, slots=True)
class Product:
    """Hold a product and its prices."""

    product_id: str
    name: str
    description: str
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Hold what is sold, all in one currency (three letters, lower case)."""

    currency: str
    products: tuple[Product, ...]

    @property
    def lookup_keys(self) -> list[str]:
        """Return every price's lookup key."""
        return [price.lookup_key for product in self.products for price in product.prices]


def read_catalogue(path: Path = DEFAULT_PATH) -> Catalogue:
    """Read the file.

    Raises:
        ConfigurationError: it cannot be read, or does not say what it must; the message names the place.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    currency = _text(values, "currency", str(path)).lower()
    products = tuple(_product(item, f"{path}: product {number}") for number, item in _numbered(values, "products"))
    catalogue = Catalogue(currency, products)
    for name, found in (
        ("lookup_key", catalogue.lookup_keys),
        ("id", [product.product_id for product in products]),
    ):
        if len(found) != len(set(found)):
            raise ConfigurationError(f"{path} has a {name} twice: {sorted(found)}")
    return catalogue


def _numbered(values: Mapping[str, Any], name: str) -> list[tuple[int, Mapping[str, Any]]]:
    return list(enumerate(values.get(name, ()), start=1))


def _product(values: Mapping[str, Any], place: str) -> Product:
    return Product(
        product_id=_text(values, "id", place),
        name=_text(values, "name", place),
        description=str(values.get("description", "")),
        prices=tuple(_price(item, f"{place}, price {number}") for number, item in _numbered(values, "prices")),
    )


def _price(values: Mapping[str, Any], place: str) -> Price:
    meter, interval = _text(values, "meter", place), _text(values, "interval", place)
    names = [known.event_name for known in METERS]
    if meter not in names:
        raise ConfigurationError(f"{place}: meter is {meter!r}; it must be one of {', '.join(names)}")
    if interval not in INTERVALS:
        raise ConfigurationError(f"{place}: interval is {interval!r}; it must be one of {', '.join(INTERVALS)}")
    lookup_key = _text(values, "lookup_key", place)
    return Price(lookup_key, str(values.get("nickname", "")), meter, _amount(values, place), interval)


def _amount(values: Mapping[str, Any], place: str) -> Decimal:
    text = _text(values, "unit_amount", place)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("-1")
    # Stripe takes 12 decimal places: https://docs.stripe.com/api/prices/create
    if not amount.is_finite() or amount < 0 or int(amount.as_tuple().exponent) < -12:
        raise ConfigurationError(f'{place}: unit_amount is {text!r}; it must be cents like "0.05"')
    return amount


def _text(values: Mapping[str, Any], name: str, place: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{place}: {name} must be a text in quotes")
    return value
