"""Faults on demand, and the limit of calls a second."""

from __future__ import annotations

import threading
import time

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.calls import call_http, impatient_client

pytestmark = pytest.mark.enable_socket


@pytest.mark.parametrize(
    ("kind", "error", "effect"),
    [
        ("http_409", stripe.APIError, False),
        ("http_429", stripe.RateLimitError, False),
        ("http_429_lock_timeout", stripe.RateLimitError, False),
        ("http_500", stripe.APIError, False),
        ("http_500_after_effect", stripe.APIError, True),
        ("http_503", stripe.APIError, False),
        ("http_503_after_effect", stripe.APIError, True),
        ("cut_before_effect", stripe.APIConnectionError, False),
        ("cut_after_effect", stripe.APIConnectionError, True),
        ("timeout_before_effect", stripe.APIConnectionError, False),
        ("timeout_after_effect", stripe.APIConnectionError, True),
        ("truncated_after_effect", stripe.APIConnectionError, True),
        ("not_json_after_effect", stripe.APIError, True),
    ],
)
def test_a_call_fails_as_told_with_or_without_its_effect(
    simulator: Simulator, kind: str, error: type[Exception], effect: bool
) -> None:
    fault = simulator.faults.add(kind, "/v1/customers", nth=2)
    client = impatient_client(simulator)
    client.v1.customers.create()
    with pytest.raises(error):
        client.v1.customers.create()
    client.v1.customers.create()
    assert len(simulator.account.customers.objects) == 2 + effect
    assert (fault.seen, fault.used) == (3, 1)
    logged = simulator.requests.to("POST /v1/customers")
    assert [one.fault for one in logged] == [None, kind, None]
    assert logged[0].status == 200


def test_a_429_says_why(simulator: Simulator, client: stripe.StripeClient) -> None:
    simulator.faults.add("http_429", limit=1)
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.customers.list()
    assert caught.value.headers is not None
    assert caught.value.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    simulator.faults.add("http_429_lock_timeout", limit=1)
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.customers.list()
    assert caught.value.error is not None
    assert caught.value.error.code == "lock_timeout"
    assert "Stripe-Rate-Limited-Reason" not in (caught.value.headers or {})


def test_a_delayed_call_gets_its_response_and_its_key_is_in_use_meanwhile(simulator: Simulator) -> None:
    simulator.faults.add("delay", "/v1/customers", nth=1, seconds=0.2)
    slow = threading.Thread(
        target=lambda: impatient_client(simulator, timeout_seconds=5).v1.customers.create({}, {"idempotency_key": "k"})
    )
    slow.start()
    while not simulator.requests.to("POST /v1/customers"):
        time.sleep(0.01)
    with pytest.raises(stripe.APIError) as caught:
        impatient_client(simulator).v1.customers.create({}, {"idempotency_key": "k"})
    assert caught.value.http_status == 409
    slow.join()
    assert len(simulator.account.customers.objects) == 1


def test_a_seeded_share_of_calls_fails_the_same_way_each_time(simulator: Simulator) -> None:
    def failures() -> list[int]:
        simulator.reset()
        simulator.faults.add("http_503", method="GET", share=0.3, seed=7, limit=5)
        return [call_http(simulator, "GET", "/v1/customers", Authorization="Bearer sk_test_a")[0] for _ in range(30)]

    first = failures()
    assert first == failures()
    assert first.count(503) == 5


def test_an_unknown_fault_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="no fault explode"):
        simulator.faults.add("explode")


def test_calls_per_second_are_limited(simulator: Simulator) -> None:
    simulator.calls_per_second = 5
    statuses = [call_http(simulator, "GET", "/v1/customers", Authorization="Bearer sk_test_a")[0] for _ in range(30)]
    assert 429 in statuses
    assert statuses.count(200) <= 10
