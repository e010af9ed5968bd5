"""Customers whose metadata names an organisation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.errors import StripeNotFoundError, StripeRefusedError
from billing.stripe_gateway.calls import StripeGateway
from billing.telemetry import described, logger


def find_customer(gateway: StripeGateway, organization_id: str, created_since: datetime | None = None) -> str | None:
    """Return a customer whose metadata names the organisation, or None.

    Stripe's search does not see what was made in the past minute; with `created_since`, all customers made since
    then are looked at as well. It ignores case, so that what it finds is compared here; and it is refused to accounts
    in India, where nothing is found by it. Source: https://docs.stripe.com/search
    """
    if created_since is not None:
        params = {"created": {"gte": int(created_since.timestamp())}, "limit": 100}
        for item in gateway.pages("/v1/customers", params):
            if _names(item, organization_id):
                return str(item["id"])
    quoted = organization_id.replace("\\", "\\\\").replace("'", "\\'")
    query: Any = {"query": f"metadata['organization_id']:'{quoted}'", "limit": 100}
    try:
        found = gateway.read(lambda client: list(client.v1.customers.search(query).auto_paging_iter()))
    except StripeRefusedError as error:
        # For 24 hours the idempotency key finds what was created all the same.
        logger.warning("Stripe refuses to search for customers", extra=described(error))
        return None
    return next((str(each.id) for each in found if _names(each.to_dict(), organization_id)), None)


def _names(customer: Mapping[str, Any], organization_id: str) -> bool:
    return (customer.get("metadata") or {}).get("organization_id") == organization_id


def create_customer(gateway: StripeGateway, organization_id: str, idempotency_key: str) -> str:
    """Create a customer whose metadata names the organisation; the same key again returns the same customer."""
    customer = gateway.read(
        lambda client: client.v1.customers.create(
            {"metadata": {"organization_id": organization_id}}, {"idempotency_key": idempotency_key}
        )
    )
    return customer.id


def has_customer(gateway: StripeGateway, customer_id: str) -> bool:
    """Say whether Stripe has the customer and it is not deleted."""
    try:
        customer = gateway.read(lambda client: client.v1.customers.retrieve(customer_id)).to_dict()
    except StripeNotFoundError:
        return False
    return not customer.get("deleted")
