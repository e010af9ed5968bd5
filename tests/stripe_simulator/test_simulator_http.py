"""Keys, idempotency, errors, faults, the log and the control interface behave as stripe-facts.md says."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Settings, Simulator, running_simulator
from stripe_simulator.client import SimulatorClient, SimulatorError
from stripe_simulator.parameters import parse_form
from tests.stripe_simulator.conftest import HOUR, NOON

pytestmark = pytest.mark.enable_socket

Make = Callable[..., Any]


def raw(simulator: Simulator, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection(simulator.base_url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers
    finally:
        connection.close()


def impatient(simulator: Simulator, retries: int = 0, timeout_seconds: float = 0.3) -> stripe.StripeClient:
    return stripe.StripeClient(
        "sk_test_x",
        base_addresses=simulator.base_addresses,
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout_seconds),
    )


def test_a_simulator_starts_within_a_tenth_of_a_second_and_resets_at_once() -> None:
    started = time.perf_counter()
    with running_simulator() as simulator:
        assert time.perf_counter() - started < 0.1
        simulator.account.customers.create({})
        simulator.clock.set(NOON)
        simulator.faults.add("http_500")
        simulator.settings.most_recent = "timestamp"
        simulator.reset()
        assert simulator.account.customers.objects == {}
        assert simulator.settings == Settings()
        assert simulator.faults.rules == []
        assert abs(simulator.clock.now() - time.time()) < 5


@pytest.mark.parametrize("authorization", ["", "Bearer pk_test_x", "Bearer ", "Basic !", "Digest sk_test_x"])
def test_a_call_without_a_secret_key_is_a_401(simulator: Simulator, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    status, body, answered = raw(simulator, "GET", "/v1/customers", **headers)
    assert status == 401
    assert body["error"]["type"] == "invalid_request_error"
    assert answered["Request-Id"].startswith("req_")


@pytest.mark.parametrize(
    "authorization", ["Bearer sk_test_a", "Bearer rk_test_a", "Bearer sk_live_a", "Basic c2tfdGVzdF9hOg=="]
)
def test_secret_and_restricted_keys_pass(simulator: Simulator, authorization: str) -> None:
    assert raw(simulator, "GET", "/v1/customers", Authorization=authorization)[0] == 200


def test_an_unknown_route_is_a_404_and_counted(client: stripe.StripeClient, simulator: Simulator) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as caught:
        client.v1.payouts.list()
    assert caught.value.http_status == 404
    assert simulator.requests.unknown == ["GET /v1/payouts"]


def test_nested_form_fields_are_parsed() -> None:
    text = "a[b][0][c]=1&a[b][1][c]=2&d[]=x&d[]=y&e=%20z&f=&items[0]=p"
    assert parse_form(text) == {
        "a": {"b": [{"c": "1"}, {"c": "2"}]},
        "d": ["x", "y"],
        "e": " z",
        "f": "",
        "items": ["p"],
    }


def test_bodies_that_make_no_sense_are_refused(simulator: Simulator) -> None:
    headers = {"Authorization": "Bearer sk_test_a"}
    assert raw(simulator, "POST", "/v2/billing/meter_events", "{", **headers)[0] == 400
    assert raw(simulator, "POST", "/v2/billing/meter_events", "[]", **headers)[0] == 400
    status, body, _ = raw(simulator, "POST", "/v1/billing/meters", "event_name=a&display_name=b", **headers)
    assert (status, body["error"]["code"]) == (400, "parameter_missing")


# --- idempotency keys


def test_v1_replays_the_answer_of_a_key_for_a_day(client: stripe.StripeClient, simulator: Simulator) -> None:
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


def test_v1_saves_no_answer_from_before_the_endpoint_ran(client: stripe.StripeClient, simulator: Simulator) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.products.create({}, {"idempotency_key": "k"})  # type: ignore[typeddict-item]
    simulator.faults.add("http_429", limit=1)
    with pytest.raises(stripe.RateLimitError):
        client.v1.products.create({"name": "a"}, {"idempotency_key": "k"})
    assert client.v1.products.create({"name": "a"}, {"idempotency_key": "k"}).id


def test_a_lost_answer_is_found_again_by_its_key(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter(window=None)
    simulator.faults.add("cut_after_effect", "/v1/billing/meter_events", nth=1)
    params: Any = {
        "event_name": "readings",
        "identifier": "a",
        "payload": {"stripe_customer_id": customer, "value": "1"},
    }
    impatient(simulator, retries=1).v1.billing.meter_events.create(params)
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


# --- faults


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
        ("not_json_after_effect", stripe.APIError, True),
    ],
)
def test_a_call_fails_as_told_with_or_without_its_effect(
    simulator: Simulator, kind: str, error: type[Exception], effect: bool
) -> None:
    fault = simulator.faults.add(kind, "/v1/customers", nth=2)
    client = impatient(simulator)
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


def test_a_delayed_call_is_answered_and_its_key_is_in_use_meanwhile(simulator: Simulator) -> None:
    simulator.faults.add("delay", "/v1/customers", nth=1, seconds=0.2)
    slow = threading.Thread(
        target=lambda: impatient(simulator, timeout_seconds=5).v1.customers.create({}, {"idempotency_key": "k"})
    )
    slow.start()
    while not simulator.requests.to("POST /v1/customers"):
        time.sleep(0.01)
    with pytest.raises(stripe.APIError) as caught:
        impatient(simulator).v1.customers.create({}, {"idempotency_key": "k"})
    assert caught.value.http_status == 409
    slow.join()
    assert len(simulator.account.customers.objects) == 1


def test_a_seeded_share_of_calls_fails_the_same_way_each_time(simulator: Simulator) -> None:
    def failures() -> list[int]:
        simulator.reset()
        simulator.faults.add("http_503", method="GET", share=0.3, seed=7, limit=5)
        return [raw(simulator, "GET", "/v1/customers", Authorization="Bearer sk_test_a")[0] for _ in range(30)]

    first = failures()
    assert first == failures()
    assert first.count(503) == 5


def test_an_unknown_fault_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="no fault explode"):
        simulator.faults.add("explode")


def test_calls_per_second_are_limited(simulator: Simulator) -> None:
    simulator.calls_per_second = 5
    statuses = [raw(simulator, "GET", "/v1/customers", Authorization="Bearer sk_test_a")[0] for _ in range(30)]
    assert 429 in statuses
    assert statuses.count(200) <= 10


# --- the log


def test_every_request_is_logged(client: stripe.StripeClient, simulator: Simulator) -> None:
    client.v1.customers.create({"name": "a"}, {"idempotency_key": "k"})
    client.v1.customers.list({"limit": 3})
    created, listed = simulator.requests
    assert (created.route, created.params, created.idempotency_key) == ("POST /v1/customers", {"name": "a"}, "k")
    assert (listed.path, listed.params, listed.status) == ("/v1/customers", {"limit": "3"}, 200)
    assert simulator.requests.by_route == {"POST /v1/customers": 1, "GET /v1/customers": 1}
    assert simulator.requests.by_status == {"POST /v1/customers 200": 1, "GET /v1/customers 200": 1}


def test_requests_from_many_threads_are_all_counted(simulator: Simulator, make_meter: Make, customer: str) -> None:
    make_meter(window=None)

    def send(thread: int) -> None:
        client = impatient(simulator, timeout_seconds=10)
        for number in range(20):
            client.v1.billing.meter_events.create(
                {
                    "event_name": "readings",
                    "identifier": f"{thread}-{number}",
                    "payload": {"stripe_customer_id": customer, "value": "1"},
                    "timestamp": NOON,
                }
            )

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert simulator.account.hourly(customer, "readings") == {NOON: 160}


# --- the control interface


def test_a_simulator_in_its_own_process_is_controlled_over_http() -> None:
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().split()[-1]
            control = SimulatorClient(base_url)
            control.wait_until_ready()
            drive(control)
        finally:
            process.terminate()
        assert process.wait(10) == 0


def drive(control: SimulatorClient) -> None:
    client = stripe.StripeClient(
        "sk_test_x", base_addresses={"api": control.base_url, "meter_events": control.base_url}
    )
    control.set_clock(NOON)
    destination = control.add_destination("http://127.0.0.1:1/hook", secret="whsec_a")
    assert destination["secret"] == "whsec_a"
    client.v1.billing.meters.create(
        {
            "display_name": "a",
            "event_name": "readings",
            "default_aggregation": {"formula": "sum"},
            "event_time_window": "hour",
        }
    )
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 1,
            "recurring": {"interval": "month"},
            "product_data": {"name": "a"},
        }
    )
    session = client.v1.checkout.sessions.create(
        {"mode": "subscription", "line_items": [{"price": price.id, "quantity": 1}], "success_url": "https://e.com"}
    )
    customer = control.complete_checkout_session(session.id)["customer"]
    payload = {"stripe_customer_id": customer, "value": "3"}
    client.v1.billing.meter_events.create({"event_name": "readings", "payload": payload, "timestamp": NOON})
    assert control.hourly(customer, "readings") == {NOON: 3}
    assert control.billed(customer, "readings", NOON, NOON + 1) == 3
    assert control.tamper("lose_hour", customer_id=customer, event_name="readings", hour_start=NOON) == 1
    taken = control.take_deliveries("checkout.session.completed")
    assert client.construct_event(taken[0]["body"], taken[0]["headers"]["Stripe-Signature"], "whsec_a").id
    assert control.deliver(taken[0]["id"])["attempts"][0]["status"] is None
    control.add_fault("http_500", "/v1/customers", nth=1)
    with pytest.raises(stripe.APIError):
        client.v1.customers.list()
    control.change_settings(most_recent="timestamp", calls_per_second=None)
    control.advance_clock(60)
    assert control.now() == NOON + 60
    assert control.requests("GET /v1/customers")[0]["fault"] == "http_500"
    assert control.state()["requests"]["unknown"] == []
    with pytest.raises(SimulatorError, match="no fault explode"):
        control.add_fault("explode")
    control.reset()
    assert control.state()["customers"] == []


def test_a_person_can_pay_on_the_checkout_page(client: stripe.StripeClient, simulator: Simulator, price: Any) -> None:
    params: Any = {"mode": "subscription", "line_items": [{"price": price.id}]}
    params["success_url"] = "https://e.com/done?session={CHECKOUT_SESSION_ID}"
    session = client.v1.checkout.sessions.create(params)
    assert session.url is not None
    connection = http.client.HTTPConnection(simulator.base_url.removeprefix("http://"), timeout=5)
    path = session.url.removeprefix(simulator.base_url)
    connection.request("GET", path)
    assert b"Pay" in connection.getresponse().read()
    connection.request("POST", path)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (303, f"https://e.com/done?session={session.id}")
    connection.close()
    assert client.v1.checkout.sessions.retrieve(session.id).status == "complete"
