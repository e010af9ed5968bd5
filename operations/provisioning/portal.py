"""The customer portal: what a customer may do with a subscription, cards and invoices.

A configuration of our own, known by its metadata; the account's default stays as it is. The billing API opens its
sessions with it. https://docs.stripe.com/customer-management/configure-portal
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.portal import (
    create_portal_configuration,
    own_portal_configuration,
    update_portal_configuration,
)
from operations.provisioning.steps import Action, Step

SUBJECT = "portal configuration"
FEATURES: Mapping[str, Mapping[str, Any]] = {
    "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    # A subscription that is ended at once never invoices the usage of its last period.
    "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
    # The portal changes no subscription that is billed by use.
    "subscription_update": {"enabled": False},
}


def plan_portal(gateway: StripeGateway) -> Step:
    """Return the step after which there is a configuration of ours, and it is as wanted."""
    existing = own_portal_configuration(gateway)
    if existing is None:
        detail = "subscriptions end at the period's end; cards, addresses and invoices"
        return Step(Action.CREATE, SUBJECT, detail, lambda: create_portal_configuration(gateway, FEATURES))
    subject = f"{SUBJECT} {existing['id']}"
    changed = differences(existing["features"])
    if not changed:
        return Step(Action.KEEP, subject)
    return Step(
        Action.UPDATE,
        subject,
        ", ".join(changed),
        lambda: update_portal_configuration(gateway, existing["id"], FEATURES),
    )


def differences(features: Mapping[str, Any]) -> list[str]:
    """Return what is not as wanted: `subscription_cancel.mode immediately → at_period_end`."""
    return [
        f"{name}.{key} {_text(features[name][key])} → {_text(value)}"
        for name, wanted in FEATURES.items()
        for key, value in wanted.items()
        if _text(features[name][key]) != _text(value)
    ]


def _text(value: Any) -> str:
    return ",".join(sorted(value)) if isinstance(value, list) else str(value)
