"""Customers whose metadata names an organisation."""

from __future__ import annotations

from datetime import datetime

from billing.errors import StripeNotFoundError
from billing.stripe_gateway.calls import StripeGateway


def find_customer(gateway: StripeGateway, organization_id: str, created_since: datetime | None = None) -> str | None:
    """Return a customer whose metadata names the organisation, or None.

    Stripe's search does not see what was made in the past minute; with `created_since`, all customers made since
    then are looked at as well. Source: https://docs.stripe.com/search#data-freshness
    """
    if created_since is not None:
        params = {"created": {"gte": int(created_since.timestamp())}, "limit": 100}
        for item in gateway.pages("/v1/customers", params):
            if (item.get("metadata") or {}).get("organization_id") == organization_id:
                return str(item["id"])
    quoted = organization_id.replace("\\", "\\\\").replace("'", "\\'")
    customers = gateway.read(
        lambda client: client.v1.customers.search({"query": f"metadata['organization_id']:'{quoted}'", "limit": 1})
    )
    return str(customers.data[0].id) if customers.data else None


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
