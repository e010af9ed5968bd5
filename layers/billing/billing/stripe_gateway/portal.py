"""Stripe's customer portal: its configurations, and the sessions in which a customer uses it.

https://docs.stripe.com/api/customer_portal/configurations, https://docs.stripe.com/api/customer_portal/sessions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.objects import MANAGED_BY


def list_portal_configurations(gateway: StripeGateway) -> list[dict[str, Any]]:
    """Return the account's active portal configurations, newest first."""
    return list(gateway.pages("/v1/billing_portal/configurations", {"active": True, "limit": 100}))


def own_portal_configuration(gateway: StripeGateway) -> dict[str, Any] | None:
    """Return the configuration that provisioning made, known by its metadata; None where there is none."""
    return next((each for each in list_portal_configurations(gateway) if is_own(each)), None)


def is_own(configuration: Mapping[str, Any]) -> bool:
    """Say whether provisioning made a configuration."""
    return (configuration.get("metadata") or {}).get("managed_by") == MANAGED_BY


def create_portal_configuration(gateway: StripeGateway, features: Mapping[str, Any]) -> None:
    """Create a configuration of ours."""
    params: Any = {"features": features, "name": MANAGED_BY, "metadata": {"managed_by": MANAGED_BY}}
    gateway.once(lambda client: client.v1.billing_portal.configurations.create(params))


def update_portal_configuration(gateway: StripeGateway, configuration_id: str, features: Mapping[str, Any]) -> None:
    """Change what a customer may do in a portal."""
    params: Any = {"features": features}
    gateway.once(lambda client: client.v1.billing_portal.configurations.update(configuration_id, params))


def create_portal_session(gateway: StripeGateway, customer_id: str, return_url: str, idempotency_key: str) -> str:
    """Open a session of the customer portal and return its address.

    Stripe is asked each time for the configuration that provisioning made: so there is no setting to forget, and one
    that is replaced is in use at once. Without one the account's default holds.
    """
    params: Any = {"customer": customer_id, "return_url": return_url}
    configuration = own_portal_configuration(gateway)
    if configuration is not None:
        params["configuration"] = configuration["id"]
    session = gateway.read(
        lambda client: client.v1.billing_portal.sessions.create(params, {"idempotency_key": idempotency_key})
    )
    return session.url
