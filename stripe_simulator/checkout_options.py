"""What a checkout session offers beside its line items: its parameters checked as Stripe does, and their effect.

https://docs.stripe.com/api/checkout/sessions/create
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.errors import ApiError, invalid_parameter
from stripe_simulator.parameters import Params, boolean, integer, mapping, one_of, text
from stripe_simulator.resources import StripeObject

if TYPE_CHECKING:
    from stripe_simulator.account import Account

LOCALES = (
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hi-IN",
    "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk",
    "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
)  # fmt: skip
END_BEHAVIORS = ("cancel", "create_invoice", "pause")
_LONGEST_TRIAL_DAYS = 730
_ADDRESS: StripeObject = {
    "city": "Berlin",
    "country": "DE",
    "line1": "Chausseestraße 1",
    "line2": None,
    "postal_code": "10115",
    "state": None,
}
"""What every buyer enters."""


def offered(account: Account, mode: str, params: Params) -> StripeObject:
    """Return the fields of a new session that say what it offers.

    Raises:
        ApiError: 400 for what Stripe does not take.
    """
    has_tax = boolean(mapping(params, "automatic_tax"), "enabled") or False
    has_tax_ids = boolean(mapping(params, "tax_id_collection"), "enabled") or False
    collection = one_of(params, "payment_method_collection", ("always", "if_required"))
    if collection and mode != "subscription":
        raise invalid_parameter(
            "payment_method_collection", "You can only set `payment_method_collection` in `subscription` mode."
        )
    _check_customer_update(account, params, has_tax=has_tax, has_tax_ids=has_tax_ids)
    _check_trial(mapping(params, "subscription_data"))
    fields: StripeObject = {
        "allow_promotion_codes": boolean(params, "allow_promotion_codes"),
        "billing_address_collection": one_of(params, "billing_address_collection", ("auto", "required")),
        "locale": one_of(params, "locale", LOCALES),
        "payment_method_collection": collection or "always",
    }
    if has_tax:
        status = "requires_location_inputs"
        fields["automatic_tax"] = {"enabled": True, "liability": {"type": "self"}, "provider": "stripe"}
        fields["automatic_tax"]["status"] = status
    if has_tax_ids:
        fields["tax_id_collection"] = {"enabled": True, "required": "never"}
    return fields


def _check_customer_update(account: Account, params: Params, *, has_tax: bool, has_tax_ids: bool) -> None:
    """Check what the session may keep of what the buyer enters.

    https://docs.stripe.com/tax/checkout, https://docs.stripe.com/tax/checkout/tax-ids#existing-customers
    """
    update, customer_id = mapping(params, "customer_update"), text(params, "customer")
    kept = {name: one_of(update, name, ("auto", "never")) for name in ("address", "name", "shipping")}
    if customer_id is None:
        if update:
            raise invalid_parameter("customer_update", "`customer_update` can only be used with `customer`.")
        return
    if has_tax_ids and kept["name"] != "auto":
        raise invalid_parameter(
            "tax_id_collection",
            "Tax ID collection requires updating business name on the customer. To enable tax ID collection for an "
            "existing customer, please set `customer_update[name]` to `auto`.",
        )
    has_address = account.customers.objects[customer_id]["address"] is not None
    if has_tax and not has_address and "auto" not in (kept["address"], kept["shipping"]):
        raise ApiError(
            400,
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to "
            "the Customer or set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto' "
            "to save the address entered in Checkout to the Customer.",
            code="customer_tax_location_invalid",
        )


def _check_trial(data: Params) -> None:
    """Check a trial: https://docs.stripe.com/billing/subscriptions/trials/free-trials."""
    days = integer(data, "trial_period_days")
    name = "subscription_data[trial_period_days]"
    if days is not None and days < 1:
        raise invalid_parameter(name, "This value must be greater than or equal to 1.", "parameter_invalid_integer")
    if days is not None and days > _LONGEST_TRIAL_DAYS:
        raise invalid_parameter(name, "Trial periods cannot be longer than 730 days (2 years).")
    one_of(mapping(mapping(data, "trial_settings"), "end_behavior"), "missing_payment_method", END_BEHAVIORS)


def collects_payment_method(session: StripeObject, data: Params) -> bool:
    """Say whether the buyer is asked for a payment method: by default always, else if anything is due now."""
    is_due_now = bool(session["amount_total"]) and not integer(data, "trial_period_days")
    return session["payment_method_collection"] == "always" or is_due_now


def keep_details(account: Account, session: StripeObject, params: Params, email: str) -> None:
    """Put what the buyer entered into the session, and into the customer as far as it may be kept there."""
    asks_address = session["billing_address_collection"] == "required" or session["automatic_tax"]["enabled"]
    address = dict(_ADDRESS) if asks_address else None
    session["customer_details"] = {"address": address, "business_name": None, "email": email, "individual_name": None}
    session["customer_details"] |= {"name": None, "phone": None, "tax_exempt": "none", "tax_ids": []}
    if session["automatic_tax"]["enabled"]:
        session["automatic_tax"]["status"] = "complete"
    if address and mapping(params, "customer_update").get("address") == "auto":
        account.customers.objects[session["customer"]]["address"] = dict(address)
