"""What a checkout offers beside its prices: what the stack's checkouts always do, and what a request changes of it.

The names and the words are Stripe's: https://docs.stripe.com/api/checkout/sessions/create
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from billing.errors import ConfigurationError, InvalidRequestError
from billing.settings import checkout_options, comma_separated, jwt_organization_claim
from billing.stripe_gateway.objects import CheckoutOptions

# https://docs.stripe.com/billing/subscriptions/trials/free-trials: two years at most.
LONGEST_TRIAL_DAYS = 730
# What a browser's own token may choose: the rest costs the seller money.
CHOSEN_BY_ANYBODY = frozenset({"locale"})

Locale = Literal[
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hi-IN",
    "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk",
    "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
]  # fmt: skip


class CheckoutFields(BaseModel):
    """The options of a checkout; one that is left out, or null, is as the stack's `CheckoutOptions` say, else off."""

    model_config = ConfigDict(extra="forbid", strict=True)

    automatic_tax: Annotated[bool | None, Field(description="Stripe Tax computes the tax.")] = None
    tax_id_collection: Annotated[bool | None, Field(description="A business can give its tax id.")] = None
    billing_address_collection: Annotated[
        Literal["auto", "required"] | None, Field(description="Whether every buyer gives a whole address.")
    ] = None
    allow_promotion_codes: Annotated[bool | None, Field(description="The buyer can enter a promotion code.")] = None
    trial_period_days: Annotated[
        int | None, Field(ge=0, le=LONGEST_TRIAL_DAYS, description="Days that cost nothing; 0 for none.")
    ] = None
    missing_payment_method: Annotated[
        Literal["cancel", "create_invoice", "pause"] | None,
        Field(description="Begin the trial without a payment method; what happens at its end if there is none still."),
    ] = None
    locale: Annotated[Locale | None, Field(description="The page's language; `auto` is the browser's.")] = None


USUAL = CheckoutFields()
"""A request that changes nothing."""


def options_of(request: CheckoutFields, *, was_subscribed: bool) -> CheckoutOptions:
    """Return what a checkout offers. An organisation that `was_subscribed` before gets no second usual trial.

    Raises:
        InvalidRequestError: an option that is not the caller's to choose, or goes with a trial and there is none.
        ConfigurationError: the setting is none.
    """
    asked = _given(request)
    if jwt_organization_claim():
        for name in sorted(asked.keys() - CHOSEN_BY_ANYBODY):
            raise InvalidRequestError(name, "Only a caller that signs with AWS credentials may choose it")
    usual = _given(usual_fields())
    if was_subscribed:
        usual.pop("trial_period_days", None)
    values = usual | asked
    if not values.get("trial_period_days"):
        if "missing_payment_method" in asked:
            raise InvalidRequestError("missing_payment_method", "There is no trial: set trial_period_days above 0")
        values.pop("missing_payment_method", None)
    return CheckoutOptions(**values)


def usual_fields() -> CheckoutFields:
    """Return what the setting says of every checkout.

    Raises:
        ConfigurationError: it says something that no checkout has.
    """
    values: dict[str, Any] = {}
    for part in comma_separated(checkout_options()):
        name, _, word = part.partition(":")
        values[name] = int(word) if word.isdecimal() else word or True
    try:
        return CheckoutFields.model_validate(values)
    except ValidationError as error:
        wrong = ", ".join(sorted({str(each["loc"][0]) for each in error.errors()}))
        raise ConfigurationError(
            f"CHECKOUT_OPTIONS: {wrong} cannot be so; docs/api.md lists what a checkout offers"
        ) from None


def _given(fields: CheckoutFields) -> dict[str, Any]:
    return fields.model_dump(include=set(CheckoutFields.model_fields), exclude_none=True)
