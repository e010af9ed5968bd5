"""The file of what is sold: products, and their metered prices."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from billing.errors import ConfigurationError
from billing.meters import METERS

DEFAULT_PATH = Path(__file__).parents[1] / "catalogue.toml"
# Stripe takes 12 decimal places: https://docs.stripe.com/api/prices/create
DECIMAL_PLACES = 12
# What pydantic says about these would not help a person who writes TOML.
RULES = {
    "missing": "must be a text in quotes",
    "string_type": "must be a text in quotes",
    "string_too_short": "must be a text in quotes",
    "extra_forbidden": "is not known here",
    "model_type": "must be a table",
    "tuple_type": "must be a list of tables",
}


def _check_meter(value: Any) -> Any:
    event_names = [meter.event_name for meter in METERS]
    if isinstance(value, str) and value and value not in event_names:
        raise PydanticCustomError("meter", "it must be one of {names}", {"names": ", ".join(event_names)})
    return value


def _read_amount(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        # A float of TOML's would already have lost what was written.
        raise PydanticCustomError("string_type", "it must be a text in quotes")
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or int(amount.as_tuple().exponent) < -DECIMAL_PLACES:
        raise PydanticCustomError("amount", 'it must be cents like "0.05"')
    return amount


Text = Annotated[str, StringConstraints(min_length=1)]


class Strict(BaseModel):
    """A part of the file. A name that is not known is refused: it may be a known one, written wrongly."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(Strict):
    """A metered price; `unit_amount` is in the currency's smallest unit."""

    lookup_key: Text
    nickname: str = ""
    meter: Annotated[Text, BeforeValidator(_check_meter)]
    unit_amount: Annotated[Decimal, BeforeValidator(_read_amount)]
    interval: Literal["day", "week", "month", "year"]


class Product(Strict):
    """A product and its prices."""

    product_id: Text = Field(alias="id")
    name: Text
    description: str = ""
    prices: tuple[Price, ...] = ()


class Catalogue(Strict):
    """What is sold, all in one currency (three letters, lower case)."""

    currency: Annotated[str, StringConstraints(min_length=1, to_lower=True)]
    products: tuple[Product, ...] = ()

    @property
    def lookup_keys(self) -> list[str]:
        """Return every price's lookup key."""
        return [price.lookup_key for product in self.products for price in product.prices]


def read_catalogue(path: Path = DEFAULT_PATH) -> Catalogue:
    """Read the file.

    Raises:
        ConfigurationError: it cannot be read, or breaks a rule; the message names every place and its rule.
    """
    try:
        catalogue = Catalogue.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigurationError("\n".join(f"{path}: {_sentence(each)}" for each in details)) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    _refuse_repeated(path, "lookup_key", catalogue.lookup_keys)
    _refuse_repeated(path, "id", [product.product_id for product in catalogue.products])
    return catalogue


def _sentence(error: ErrorDetails) -> str:
    """Return where the error is and which rule is broken: `product 1, price 2: meter is 'doors'; it must be …`."""
    steps: list[str] = []
    for step in error["loc"]:
        if isinstance(step, int):
            steps[-1] = f"{steps[-1].removesuffix('s')} {step + 1}"
        else:
            steps.append(step)
    *tables, name = steps
    place = f"{', '.join(tables)}: " if tables else ""
    if error["type"] in RULES:
        return f"{place}{name} {RULES[error['type']]}"
    return f"{place}{name} is {error['input']!r}; {error['msg'].replace('Input should be', 'it must be')}"


def _refuse_repeated(path: Path, name: str, values: Iterable[str]) -> None:
    repeated = sorted(value for value, number in Counter(values).items() if number > 1)
    if repeated:
        raise ConfigurationError(f"{path} has one {name} twice: {', '.join(repeated)}")
