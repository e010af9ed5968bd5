"""A Stripe account to ask: the simulator's, or a real sandbox that is tidied up afterwards."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billing.stripe_gateway.calls import StripeGateway

# A sandbox counts asynchronously; Stripe names no time, minutes are usual.
SUMMARY_SECONDS = 600


@dataclass
class Sandbox:
    """Make things in a Stripe account under names of their own, and remember them for tidying up."""

    gateway: StripeGateway
    is_real: bool
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    clocks: list[str] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)
    meters: list[str] = field(default_factory=list)
    products: list[str] = field(default_factory=list)

    def call(self, call: Callable[[Any], Any]) -> Any:
        """Make a call that only the assumptions make, unchecked by the SDK's types."""
        return self.gateway.once(call)

    def customer(self, **params: Any) -> str:
        """Make a customer and return its id."""
        params["name"] = f"assumptions {self.run}"
        made = self.call(lambda client: client.v1.customers.create(params))
        if "test_clock" not in params:
            self.customers.append(made.id)
        return str(made.id)

    def clock(self, frozen_time: datetime) -> str:
        """Make a test clock that stands at a time, and return its id; it is deleted with its customers."""
        params = {"frozen_time": int(frozen_time.timestamp()), "name": f"assumptions {self.run}"}
        made = self.call(lambda client: client.v1.test_helpers.test_clocks.create(params))
        self.clocks.append(made.id)
        return str(made.id)

    def advance(self, clock_id: str, to: datetime) -> None:
        """Move a test clock on, and wait until it has arrived."""
        clocks = {"frozen_time": int(to.timestamp())}
        self.call(lambda client: client.v1.test_helpers.test_clocks.advance(clock_id, clocks))

        def status() -> object:
            return self.call(lambda client: client.v1.test_helpers.test_clocks.retrieve(clock_id)).status

        assert self.eventually(status, "ready") == "ready"

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

    def metered_price(self, meter: Any, **more: Any) -> str:
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
                    **more,
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
        for clock_id in self.clocks:
            self._call_with(clock_id, lambda client, each: client.v1.test_helpers.test_clocks.delete(each))
        for customer_id in self.customers:
            self._call_with(customer_id, lambda client, each: client.v1.customers.delete(each))
        for meter_id in self.meters:
            self._call_with(meter_id, lambda client, each: client.v1.billing.meters.deactivate(each))
        for product_id in self.products:
            self._call_with(product_id, lambda client, each: client.v1.products.update(each, {"active": False}))

    def _call_with(self, object_id: str, call: Callable[[Any, str], Any]) -> None:
        self.call(lambda client: call(client, object_id))
