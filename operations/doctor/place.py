"""What is looked at: a deployed stack, or what the environment names, and the Stripe account of its key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from billing.errors import ConfigurationError
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.stripe_secrets import StripeSecrets, secrets_reader
from operations import connection

# Without a stack its parameters are what the functions would read.
VARIABLES = {
    "AllowedPriceIds": "ALLOWED_PRICE_IDS",
    "AllowedRedirectHosts": "ALLOWED_REDIRECT_HOSTS",
    "MeterEventTransport": "METER_EVENT_TRANSPORT",
    "MeterEventsPerSecond": "METER_EVENTS_PER_SECOND",
    "MeteringWorkers": "METERING_WORKERS",
    "RelinkByReference": "RELINK_BY_REFERENCE",
}


@dataclass
class Place:
    """A stack, or (`stack` is None) the environment. What is asked of AWS or Stripe is asked at first use."""

    stack: str | None
    outputs: Mapping[str, str]
    webhook_url: str | None
    now: datetime
    is_deep: bool = False
    is_stripe_away: bool = False

    def client(self, service: str) -> Any:
        """Return the client of an AWS service."""
        return connection.aws_client(service)

    @property
    def gateway(self) -> StripeGateway:
        """Return the gateway to Stripe.

        Raises:
            ConfigurationError: there is no key.
        """
        return stripe_gateway()

    @property
    def secrets(self) -> StripeSecrets:
        """Return Stripe's secrets.

        Raises:
            ConfigurationError: there are none.
        """
        return secrets_reader().current()

    @cached_property
    def has_key(self) -> bool:
        """Say whether there is a key to ask Stripe with."""
        try:
            return bool(self.secrets.api_key)
        except ConfigurationError:
            return False

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """Return the stack's parameters as they are deployed; of an environment those that it sets."""
        if self.stack is None:
            return {name: os.environ[variable] for name, variable in VARIABLES.items() if os.environ.get(variable)}
        return connection.parameters_of(self.stack)

    @cached_property
    def resources(self) -> Mapping[str, str]:
        """Return the physical id of each of the stack's resources, by logical id."""
        assert self.stack is not None  # noqa: S101  # whoever asks has looked
        return connection.resources_of(self.stack)

    @property
    def environment(self) -> str:
        """Return what the stack is for: dev, staging, prod; dev for an environment of variables."""
        return self.parameters.get("Environment", "dev")

    @property
    def allowed_price_ids(self) -> list[str]:
        """Return the prices that a checkout may be opened for."""
        return [each.strip() for each in self.parameters.get("AllowedPriceIds", "").split(",") if each.strip()]
