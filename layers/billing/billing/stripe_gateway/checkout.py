"""Stripe's page on which a buyer subscribes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from billing.clock import from_unix
from billing.errors import StripeRefusedError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.objects import CheckoutOptions, CheckoutSession
from billing.telemetry import described, logger


@cache
def is_metered(gateway: StripeGateway, price_id: str) -> bool:
    """Say whether a price bills by use; asked once a process, for it never changes.

    Raises:
        StripeNotFoundError: there is no such price.
    """
    price = gateway.read(lambda client: client.v1.prices.retrieve(price_id)).to_dict()
    return (price.get("recurring") or {}).get("usage_type") == "metered"


def create_checkout_session(
    gateway: StripeGateway,
    organization_id: str,
    customer_id: str,
    price_ids: Sequence[str],
    success_url: str,
    cancel_url: str,
    options: CheckoutOptions,
    idempotency_key: str,
) -> CheckoutSession:
    """Open a checkout session in which the customer subscribes to the prices.

    Source: https://docs.stripe.com/api/checkout/sessions/create
    """
    line_items: list[Any] = [
        {"price": price_id} if is_metered(gateway, price_id) else {"price": price_id, "quantity": 1}
        for price_id in price_ids
    ]
    params: Any = {
        "mode": "subscription",
        "customer": customer_id,
        "client_reference_id": organization_id,
        "metadata": {"organization_id": organization_id},
        "line_items": line_items,
        "subscription_data": {"metadata": {"organization_id": organization_id}, **_trial(options)},
        "success_url": success_url,
        "cancel_url": cancel_url,
        **_offered(options),
    }
    session = gateway.read(
        lambda client: client.v1.checkout.sessions.create(params, {"idempotency_key": idempotency_key})
    ).to_dict()
    return CheckoutSession(session["id"], session["url"], from_unix(session["expires_at"]))


def _trial(options: CheckoutOptions) -> dict[str, Any]:
    """Return a trial as Stripe takes it: https://docs.stripe.com/payments/checkout/free-trials."""
    params: dict[str, Any] = {}
    if options.trial_period_days:
        params["trial_period_days"] = options.trial_period_days
    if options.missing_payment_method:
        params["trial_settings"] = {"end_behavior": {"missing_payment_method": options.missing_payment_method}}
    return params


def _offered(options: CheckoutOptions) -> dict[str, Any]:
    """Return the options of the page as Stripe takes them; what is off is left out.

    The customer is there already, so that Stripe has to be allowed to keep what the buyer enters: the address by which
    tax is computed, and the name that goes with a tax id.
    Sources: https://docs.stripe.com/tax/checkout, https://docs.stripe.com/tax/checkout/tax-ids#existing-customers
    """
    params: dict[str, Any] = {}
    kept: dict[str, str] = {}
    if options.automatic_tax:
        params["automatic_tax"] = {"enabled": True}
        kept["address"] = "auto"
    if options.tax_id_collection:
        params["tax_id_collection"] = {"enabled": True}
        kept["name"] = "auto"
    if options.billing_address_collection != "auto":
        params["billing_address_collection"] = options.billing_address_collection
        kept["address"] = "auto"
    if kept:
        params["customer_update"] = kept
    if options.allow_promotion_codes:
        params["allow_promotion_codes"] = True
    if options.missing_payment_method:
        params["payment_method_collection"] = "if_required"
    if options.locale != "auto":
        params["locale"] = options.locale
    return params


def expire_older_sessions(gateway: StripeGateway, organization_id: str, customer_id: str, session_id: str) -> None:
    """End the customer's open sessions that are older than this one: two that are both paid would bill usage twice.

    Of sessions that are opened at the same moment exactly the newest stays open, whoever comes first here.
    Source: https://docs.stripe.com/api/checkout/sessions/expire
    """
    params = {"customer": customer_id, "status": "open", "limit": 100}
    newer = True
    for session in gateway.pages("/v1/checkout/sessions", params):
        if session["id"] == session_id:
            newer = False  # the list has the newest first
        elif not newer and session["client_reference_id"] == organization_id:
            _expire(gateway, session["id"])


def _expire(gateway: StripeGateway, session_id: str) -> None:
    try:
        gateway.once(lambda client: client.v1.checkout.sessions.expire(session_id))
    except StripeRefusedError as error:
        # Paid or ended meanwhile: where two are paid, the webhook tells that both bill the same meter.
        logger.warning("A checkout session could not be ended", extra=described(error))
