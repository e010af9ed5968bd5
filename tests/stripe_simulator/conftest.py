"""The simulator is tested through the real stripe-python, over a real socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.moments import DRAFTED, NOON


@pytest.fixture
def client(simulator: Simulator) -> stripe.StripeClient:
    """Return the real client, its clock stopped at 2026-11-23T12:00:00Z."""
    simulator.clock.set(NOON)
    return stripe.StripeClient("sk_test_simulator", base_addresses=simulator.base_addresses)


@pytest.fixture
def make_meter(client: stripe.StripeClient) -> Callable[..., Any]:
    """Return a function that creates a meter: pre-aggregated by hour, `sum`, unless told otherwise."""

    def make(event_name: str = "readings", formula: Any = "sum", window: Any = "hour") -> Any:
        params: dict[str, Any] = {
            "display_name": event_name,
            "event_name": event_name,
            "default_aggregation": {"formula": formula},
        }
        if window:
            params["event_time_window"] = window
        return client.v1.billing.meters.create(params)  # type: ignore[arg-type]

    return make


@pytest.fixture
def send(client: stripe.StripeClient) -> Callable[..., Any]:
    """Return a function that sends one meter event over v1."""

    def send(
        customer: str, value: Any, timestamp: int = NOON, identifier: str = "", event_name: str = "readings"
    ) -> Any:
        params: dict[str, Any] = {
            "event_name": event_name,
            "payload": {"stripe_customer_id": customer, "value": str(value)},
            "timestamp": timestamp,
        }
        if identifier:
            params["identifier"] = identifier
        return client.v1.billing.meter_events.create(params)  # type: ignore[arg-type]

    return send


@pytest.fixture
def customer(client: stripe.StripeClient) -> str:
    """Return the identifier of a new customer."""
    return client.v1.customers.create({"email": "a@example.com"}).id


@pytest.fixture
def price(client: stripe.StripeClient, make_meter: Callable[..., Any]) -> Any:
    """Return a monthly price of 0.5 cents a reading, on the meter `readings`."""
    meter = make_meter()
    return client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount_decimal": "0.5",  # type: ignore[typeddict-item]
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
            "product_data": {"name": "Readings"},
            "lookup_key": "readings",
        }
    )


@pytest.fixture
def seat(client: stripe.StripeClient) -> Any:
    """Return a monthly price of 5 dollars, which is paid in advance."""
    return client.v1.prices.create(
        {"currency": "usd", "unit_amount": 500, "recurring": {"interval": "month"}, "product_data": {"name": "Seat"}}
    )


@pytest.fixture
def subscribe(client: stripe.StripeClient, simulator: Simulator, price: Any) -> Callable[..., Any]:
    """Return a function that takes an organisation through checkout and returns the completed session."""

    def subscribe(organization_id: str = "org_1", **params: Any) -> Any:
        asked: Any = {
            "mode": "subscription",
            "client_reference_id": organization_id,
            "line_items": [{"price": price.id}],
            "subscription_data": {"metadata": {"organization_id": organization_id}},
            "success_url": "https://example.com/done",
            **params,
        }
        session = client.v1.checkout.sessions.create(asked)
        simulator.account.complete_checkout_session(session.id)
        return client.v1.checkout.sessions.retrieve(session.id)

    return subscribe


@pytest.fixture
def draft(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Callable[..., Any], send: Callable[..., Any]
) -> Any:
    """Return the draft of a month with 100 readings, ten seconds after it was made."""
    session = subscribe()
    send(session.customer, 100)
    simulator.clock.set(DRAFTED)
    (invoice,) = client.v1.invoices.list({"customer": session.customer}).data
    return invoice


@pytest.fixture
def open_invoice(client: stripe.StripeClient, simulator: Simulator, draft: Any) -> Any:
    """Return that invoice when it is final and its payment has failed."""
    simulator.account.customers.set_payment_outcome(draft.customer, "payment_failed")
    return client.v1.invoices.finalize_invoice(draft.id)
