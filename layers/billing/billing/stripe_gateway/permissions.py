"""What an API key may do, asked for without an effect.

A list of one object needs the permission to read. A write is asked of an object that does not exist, or without what it
must have: Stripe looks at the permission first, and then refuses the request. https://docs.stripe.com/keys/restricted-api-keys
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from billing.errors import StripeKeyError, StripeRefusedError
from billing.stripe_gateway.calls import StripeGateway

NOBODY = "doctor_asks_for_nothing"
# What this stack does, by the name under which Stripe's page of restricted keys has it.
PERMISSIONS = (
    ("Billing meters", "read", "/v1/billing/meters"),
    ("Billing meters", "write", f"/v1/billing/meters/{NOBODY}"),
    ("Billing meter events", "write", "/v1/billing/meter_events"),
    ("Customers", "read", "/v1/customers"),
    ("Customers", "write", f"/v1/customers/{NOBODY}"),
    ("Subscriptions", "read", "/v1/subscriptions"),
    ("Subscriptions", "write", f"/v1/subscriptions/{NOBODY}"),
    ("Invoices", "read", "/v1/invoices"),
    ("Invoices", "write", f"/v1/invoices/{NOBODY}"),
    ("Checkout sessions", "read", "/v1/checkout/sessions"),
    ("Checkout sessions", "write", f"/v1/checkout/sessions/{NOBODY}/expire"),
    ("Customer portal", "read", "/v1/billing_portal/configurations"),
    ("Customer portal", "write", f"/v1/billing_portal/configurations/{NOBODY}"),
    ("Products", "read", "/v1/products"),
    ("Products", "write", f"/v1/products/{NOBODY}"),
    ("Prices", "read", "/v1/prices"),
    ("Prices", "write", f"/v1/prices/{NOBODY}"),
    ("Webhook endpoints", "read", "/v1/webhook_endpoints"),
    ("Webhook endpoints", "write", f"/v1/webhook_endpoints/{NOBODY}"),
    ("Events", "read", "/v1/events"),
)


@dataclass(frozen=True, slots=True)
class Lack:
    """What a key may not do: `access` is read or write, `permission` Stripe's own name of it, where Stripe told it."""

    resource: str
    access: str
    permission: str | None


def lacking_permissions(gateway: StripeGateway) -> Iterator[Lack]:
    """Yield what the key may not do of what this stack does, by one call for each.

    Raises:
        StripeKeyError: the key does not work at all.
        StripeUnavailableError: Stripe did not respond.
    """
    for resource, access, path in PERMISSIONS:
        try:
            _ask(gateway, access, path)
        except StripeKeyError as error:
            if error.status == 401:
                raise
            yield Lack(resource, access, error.permission)
        except StripeRefusedError:
            pass  # as was to be: it may, and there was nothing to do


def _ask(gateway: StripeGateway, access: str, path: str) -> None:
    if access == "read":
        gateway.read(lambda client: client.raw_request("get", path, limit=1))
    else:
        gateway.once(lambda client: client.raw_request("post", path))
