"""The customer portal's sessions and configurations: https://docs.stripe.com/api/customer_portal/sessions."""

from __future__ import annotations

from typing import Any

from stripe_simulator.parameters import (
    Params,
    boolean,
    mapping,
    merged_metadata,
    page_limit,
    required,
    sequence,
    text,
)
from stripe_simulator.resources import Resource, StripeObject, copied, page, synchronized

_FEATURES: StripeObject = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
    "subscription_update": {
        "billing_cycle_anchor": "unchanged",
        "default_allowed_updates": [],
        "enabled": False,
        "products": [],
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}
"""What a customer may do in a portal whose configuration does not say: nothing."""


def _changed(value: Any, given: Params, name: str) -> Any:
    """Return a setting, or the settings below it, with what the parameters say in its place."""
    if isinstance(value, dict):
        inner = mapping(given, name)
        return {key: _changed(each, inner, key) for key, each in value.items()}
    if name not in given:
        return value
    if isinstance(value, bool):
        return boolean(given, name)
    return sequence(given, name) if isinstance(value, list) else text(given, name)


@synchronized
class PortalConfigurations(Resource):
    """The account's portal configurations; the first one made is the default."""

    resource_name = "billing_portal.configuration"

    def create(self, params: Params) -> StripeObject:
        """Create a configuration."""
        now = int(self.account.now())
        configuration: StripeObject = {
            "id": self.account.new_id("bpc", 24),
            "object": "billing_portal.configuration",
            "active": True,
            "application": None,
            "business_profile": _changed(
                {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}, params, "business_profile"
            ),
            "created": now,
            "default_return_url": text(params, "default_return_url"),
            "features": _changed(copied(_FEATURES), params, "features"),
            "is_default": not self.objects,
            "livemode": False,
            "login_page": {"enabled": False, "url": None},
            "metadata": merged_metadata({}, params),
            "name": text(params, "name"),
            "updated": now,
        }
        self.objects[configuration["id"]] = configuration
        self.account.events.emit("billing_portal.configuration.created", configuration)
        return copied(configuration)

    def retrieve(self, configuration_id: str) -> StripeObject:
        """Return a configuration, or raise a 404."""
        return copied(self._find(configuration_id))

    def require(self, configuration_id: str, param: str) -> None:
        """Raise a 400 `resource_missing` that names the parameter, unless the configuration exists."""
        self._find(configuration_id, param, 400)

    def update(self, configuration_id: str, params: Params) -> StripeObject:
        """Change a configuration."""
        configuration = self._find(configuration_id)
        before = copied(configuration)
        for name in ("features", "business_profile"):
            configuration[name] = _changed(configuration[name], params, name)
        for name in ("default_return_url", "name"):
            if name in params:
                configuration[name] = text(params, name)
        active = boolean(params, "active")
        configuration["active"] = configuration["active"] if active is None else active
        configuration["metadata"] = merged_metadata(configuration["metadata"], params)
        self.account.events.emit("billing_portal.configuration.updated", configuration, before)
        return copied(configuration)

    def list(self, params: Params) -> StripeObject:
        """List configurations, newest first, by `active` and `is_default` where given."""
        active, default = boolean(params, "active"), boolean(params, "is_default")
        page_limit(params)
        matching = [
            configuration
            for configuration in reversed(self.objects.values())
            if active in (None, configuration["active"]) and default in (None, configuration["is_default"])
        ]
        return copied(page(matching, params, "/v1/billing_portal/configurations"))


@synchronized
class PortalSessions(Resource):
    """The account's portal sessions."""

    resource_name = "billing_portal.session"

    def create(self, params: Params) -> StripeObject:
        """Create a session for a customer, with the given configuration or the default one.

        Raises:
            ApiError: 400 for an unknown customer or configuration.
        """
        customer = str(required(params, "customer"))
        self.account.customers.require(customer, "customer")
        configurations = self.account.portal_configurations
        configuration = text(params, "configuration")
        if configuration is None:
            if not configurations.objects:
                configurations.create({})
            configuration = next(iter(configurations.objects))
        configurations.require(configuration, "configuration")
        session_id = self.account.new_id("bps", 24)
        session: StripeObject = {
            "id": session_id,
            "object": "billing_portal.session",
            "after_expiration": None,
            "configuration": configuration,
            "created": int(self.account.now()),
            "customer": customer,
            "customer_account": None,
            "flow": None,
            "livemode": False,
            "locale": None,
            "on_behalf_of": None,
            "return_url": text(params, "return_url"),
            "url": f"{self.account.public_url}/_simulator/portal/{session_id}",
        }
        self.objects[session_id] = session
        self.account.events.emit("billing_portal.session.created", session)
        return copied(session)

    def retrieve(self, session_id: str) -> StripeObject:
        """Return a session, or raise a 404; Stripe's API has no call for it."""
        return copied(self._find(session_id))
