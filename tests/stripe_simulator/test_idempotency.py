"""Idempotency keys: which responses are saved and repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.calls import impatient_client
from tests.stripe_simulator.moments import HOUR

pytestmark = pytest.mark.enable_socket

Make = Callable[..., Any]


def test_v1_replays_the_response_of_a_key_for_a_day(client: stripe.StripeClient, simulator: Simulator) -> None:
    first = client.v1.customers.create({"name": "a"}, {"idempotency_key": "k"})
    again = client.v1.customers.create({"name": "a"}, {"idempotency_key": "k"})
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    for create, params in ((client.v1.customers.create, {"name": "b"}), (client.v1.products.create, {"name": "a"})):
        with pytest.raises(stripe.IdempotencyError):
            create(params, {"idempotency_key": "k"})  # type: ignore[arg-type]
    simulator.clock.advance(24 * HOUR)
    assert client.v1.customers.create({"name": "a"}, {"idempotency_key": "k"}).id != first.id


def test_v1_replays_a_500_but_a_new_key_gets_through(client: stripe.StripeClient, simulator: Simulator) -> None:
    simulator.faults.add("http_500", "/v1/customers", nth=1)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            client.v1.customers.create({}, {"idempotency_key": "k"})
        assert caught.value.http_status == 500
    assert client.v1.customers.create({}, {"idempotency_key": "other"}).id


def test_v1_saves_no_response_from_before_the_endpoint_ran(client: stripe.StripeClient, simulator: Simulator) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.products.create({}, {"idempotency_key": "k"})  # type: ignore[typeddict-item]
    simulator.faults.add("http_429", limit=1)
    with pytest.raises(stripe.RateLimitError):
        client.v1.products.create({"name": "a"}, {"idempotency_key": "k"})
    assert client.v1.products.create({"name": "a"}, {"idempotency_key": "k"}).id


def test_a_lost_response_is_found_again_by_its_key(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter(window=None)
    simulator.faults.add("cut_after_effect", "/v1/billing/meter_events", nth=1)
    params: Any = {
        "event_name": "readings",
        "identifier": "a",
        "payload": {"stripe_customer_id": customer, "value": "1"},
    }
    impatient_client(simulator, retries=1).v1.billing.meter_events.create(params)
    assert [one.replayed for one in simulator.requests.to("POST /v1/billing/meter_events")] == [False, True]
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        client.v1.billing.meter_events.create(params)


def test_v2_replays_successes_only(client: stripe.StripeClient, make_meter: Make, customer: str) -> None:
    event: Any = {
        "event_name": "readings",
        "identifier": "a",
        "payload": {"stripe_customer_id": customer, "value": "1"},
    }
    with pytest.raises(stripe.InvalidRequestError):
        client.v2.billing.meter_events.create(event, {"idempotency_key": "k"})
    make_meter()
    for _ in range(2):
        client.v2.billing.meter_events.create(event, {"idempotency_key": "k"})
