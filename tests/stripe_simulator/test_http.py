"""Start and reset, keys, routes, bodies and the log of requests."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Settings, Simulator, running_simulator
from stripe_simulator.parameters import parse_form
from tests.stripe_simulator.calls import call_http, impatient_client
from tests.stripe_simulator.moments import NOON

pytestmark = pytest.mark.enable_socket

Make = Callable[..., Any]


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
    status, body, headers_received = call_http(simulator, "GET", "/v1/customers", **headers)
    assert status == 401
    assert body["error"]["type"] == "invalid_request_error"
    assert headers_received["Request-Id"].startswith("req_")


@pytest.mark.parametrize(
    "authorization", ["Bearer sk_test_a", "Bearer rk_test_a", "Bearer sk_live_a", "Basic c2tfdGVzdF9hOg=="]
)
def test_secret_and_restricted_keys_pass(simulator: Simulator, authorization: str) -> None:
    assert call_http(simulator, "GET", "/v1/customers", Authorization=authorization)[0] == 200


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
    assert call_http(simulator, "POST", "/v2/billing/meter_events", "{", **headers)[0] == 400
    assert call_http(simulator, "POST", "/v2/billing/meter_events", "[]", **headers)[0] == 400
    status, body, _ = call_http(simulator, "POST", "/v1/billing/meters", "event_name=a&display_name=b", **headers)
    assert (status, body["error"]["code"]) == (400, "parameter_missing")


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
        client = impatient_client(simulator, timeout_seconds=10)
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


def test_a_simulator_on_an_ipv6_address_says_one_that_can_be_called() -> None:
    try:
        with running_simulator(host="::1") as simulator:
            assert simulator.base_url.startswith("http://[::1]:")
            simulator.account.customers.create({})
            client = stripe.StripeClient("sk_test_x", base_addresses=simulator.base_addresses)
            assert len(client.v1.customers.list().data) == 1
    except OSError as exc:
        if exc.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
        pytest.skip("This machine has no IPv6")


def test_the_next_objects_have_the_identifiers_that_a_test_chose(simulator: Simulator) -> None:
    customers = simulator.account.customers
    with simulator.account.chosen_ids({"cus": ["cus_first", "cus_second"]}):
        made = [customers.create({})["id"] for _ in range(3)]
    assert made[:2] == ["cus_first", "cus_second"]
    assert len({*made, customers.create({})["id"]}) == 4
