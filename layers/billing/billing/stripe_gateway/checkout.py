"""Stripe's page on which a buyer subscribes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from billing.clock import from_unix
from billing.errors import StripeRefusedError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.objects import CheckoutSession
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
    idempotency_key: str,
) -> CheckoutSession:
    """Open a checkout session in which the customer subscribes to the prices.

    Source: https://docs.stripe.com/api/checkout/sessions/create
    """
    line_items: list[Any] = [
        {"price": price_id} if is_metered(gateway, price_id) else {"price": price_id, "quantity": 1}
        for price_id in price_ids
    ]
    session = gateway.read(
        lambda client: client.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": customer_id,
                "client_reference_id": organization_id,
                "metadata": {"organization_id": organization_id},
                "line_items": line_items,
                "subscription_data": {"metadata": {"organization_id": organization_id}},
                "success_url": success_url,
                "cancel_url": cancel_url,
            },
            {"idempotency_key": idempotency_key},
        )
    ).to_dict()
    return CheckoutSession(session["id"], session["url"], from_unix(session["expires_at"]))


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
