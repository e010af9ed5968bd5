"""An account to check assumptions in: the simulator's, or a real Stripe sandbox that is tidied up afterwards."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_secrets import SecretsReader, StripeSecrets
from stripe_simulator import Simulator

pytest_plugins = ["tests.support.run", "tests.support.fixtures"]

# A sandbox counts asynchronously; Stripe names no time, minutes are usual.
SUMMARY_SECONDS = 600


@dataclass
class Sandbox:
    """Make things in a Stripe account under names of their own, and remember them for tidying up."""

    gateway: StripeGateway
    is_real: bool
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    customers: list[str] = field(default_factory=list)
    meters: list[str] = field(default_factory=list)
    products: list[str] = field(default_factory=list)

    def call(self, call: Callable[[Any], Any]) -> Any:
        """Make a call that only the assumptions make, unchecked by the SDK's types."""
        return self.gateway.once(call)

    def customer(self) -> str:
        """Make a customer and return its id."""
        made = self.call(lambda client: client.v1.customers.create({"name": f"assumptions {self.run}"}))
        self.customers.append(made.id)
        return str(made.id)

    def meter(self, formula: str = "sum", event_time_window: str | None = "hour") -> Any:
        """Make a meter with an event name of its own."""
        name = f"assumed_{self.run}_{len(self.meters)}"
        params: dict[str, Any] = {
            "display_name": name,
            "event_name": name,
            "default_aggregation": {"formula": formula},
        }
        if event_time_window is not None:
            params["event_time_window"] = event_time_window
        made = self.call(lambda client: client.v1.billing.meters.create(params))
        self.meters.append(made.id)
        return made

    def metered_price(self, meter: Any) -> str:
        """Make a metered monthly price and return its id."""
        product = self.call(lambda client: client.v1.products.create({"name": f"assumptions {self.run}"}))
        self.products.append(product.id)
        price = self.call(
            lambda client: client.v1.prices.create(
                {
                    "product": product.id,
                    "currency": "eur",
                    "unit_amount": 1,
                    "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
                }
            )
        )
        return str(price.id)

    def eventually(self, read: Callable[[], object], expected: object) -> object:
        """Read until the answer is as expected, or the time is up; return the last answer."""
        until = time.monotonic() + (SUMMARY_SECONDS if self.is_real else 0)
        while (found := read()) != expected and time.monotonic() < until:
            time.sleep(5)
        return found

    def tidy_up(self) -> None:
        """Delete the customers with their subscriptions; switch off what Stripe does not delete."""
        for customer_id in self.customers:
            self._call_with(customer_id, lambda client, each: client.v1.customers.delete(each))
        for meter_id in self.meters:
            self._call_with(meter_id, lambda client, each: client.v1.billing.meters.deactivate(each))
        for product_id in self.products:
            self._call_with(product_id, lambda client, each: client.v1.products.update(each, {"active": False}))

    def _call_with(self, object_id: str, call: Callable[[Any, str], Any]) -> None:
        self.call(lambda client: call(client, object_id))


def _fixed(api_key: str) -> SecretsReader:
    return SecretsReader(lambda: StripeSecrets(api_key, ()))


@pytest.fixture
def sandbox(stripe_sandbox_key: str | None, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Give the test the real sandbox where the run was asked to use it, else the simulator."""
    if stripe_sandbox_key is not None:
        account = Sandbox(StripeGateway(_fixed(stripe_sandbox_key)), is_real=True)
    else:
        simulator: Simulator = request.getfixturevalue("simulator")
        account = Sandbox(
            StripeGateway(_fixed("sk_test_assumed"), simulator.base_url, simulator.base_url), is_real=False
        )
    try:
        yield account
    finally:
        account.tidy_up()
