"""A simulator in a process of its own, controlled over HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import stripe

from stripe_simulator import Simulator, SimulatorClient, SimulatorError
from tests.stripe_simulator.calls import call_http
from tests.stripe_simulator.moments import NOON

pytestmark = pytest.mark.enable_socket


@pytest.fixture(scope="module")
def process_of_its_own() -> Iterator[SimulatorClient]:
    """Run a simulator as `make stripe-simulator` does, on a free port; it ends well when it is terminated."""
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            control = SimulatorClient(process.stdout.readline().split()[-1])
            control.wait_until_ready()
            yield control
        finally:
            process.terminate()
        assert process.wait(10) == 0


@pytest.fixture
def control(process_of_its_own: SimulatorClient) -> SimulatorClient:
    """Return the control of an empty simulator whose clock stands at NOON."""
    process_of_its_own.reset()
    process_of_its_own.set_clock(NOON)
    return process_of_its_own


@pytest.fixture
def client(control: SimulatorClient) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_x", base_addresses={"api": control.base_url, "meter_events": control.base_url})


def subscribe(client: stripe.StripeClient, control: SimulatorClient) -> str:
    """Take a buyer through checkout; return the customer's id."""
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 1, "recurring": {"interval": "month"}, "product_data": {"name": "a"}}
    )
    session = client.v1.checkout.sessions.create(
        {"mode": "subscription", "line_items": [{"price": price.id, "quantity": 1}], "success_url": "https://e.com"}
    )
    return str(control.complete_checkout_session(session.id)["customer"])


def test_usage_is_read_and_damaged_over_the_control_api(client: stripe.StripeClient, control: SimulatorClient) -> None:
    client.v1.billing.meters.create(
        {
            "display_name": "a",
            "event_name": "readings",
            "default_aggregation": {"formula": "sum"},
            "event_time_window": "hour",
        }
    )
    customer = subscribe(client, control)
    payload = {"stripe_customer_id": customer, "value": "3"}
    client.v1.billing.meter_events.create({"event_name": "readings", "payload": payload, "timestamp": NOON})
    assert control.hourly(customer, "readings") == {NOON: 3}
    assert control.billed(customer, "readings", NOON, NOON + 1) == 3
    assert control.tamper("lose_hour", customer_id=customer, event_name="readings", hour_start=NOON) == 1
    assert control.hourly(customer, "readings") == {}


def test_deliveries_are_taken_and_posted_over_the_control_api(
    client: stripe.StripeClient, control: SimulatorClient
) -> None:
    destination = control.add_destination("http://127.0.0.1:1/hook", secret="whsec_a")
    assert destination["secret"] == "whsec_a"
    subscribe(client, control)
    (taken,) = control.take_deliveries("checkout.session.completed")
    assert client.construct_event(taken["body"], taken["headers"]["Stripe-Signature"], "whsec_a").id
    assert control.deliver(taken["id"])["attempts"][0]["status"] is None


def test_faults_settings_clock_and_log_are_reached_over_the_control_api(
    client: stripe.StripeClient, control: SimulatorClient
) -> None:
    control.add_fault("http_500", "/v1/customers", nth=1)
    with pytest.raises(stripe.APIError):
        client.v1.customers.list()
    control.change_settings(most_recent="timestamp", calls_per_second=None)
    control.advance_clock(60)
    assert control.now() == NOON + 60
    assert control.requests("GET /v1/customers")[0]["fault"] == "http_500"
    assert control.state()["settings"]["most_recent"] == "timestamp"
    assert control.state()["requests"]["unknown"] == []
    with pytest.raises(SimulatorError, match="no fault explode"):
        control.add_fault("explode")


def test_a_reset_over_the_control_api_empties_the_account(
    client: stripe.StripeClient, control: SimulatorClient
) -> None:
    client.v1.customers.create()
    assert len(control.state()["customers"]) == 1
    control.reset()
    assert control.state()["customers"] == []


def test_the_clock_runs_again_and_a_secret_is_rotated_over_the_control_api(control: SimulatorClient) -> None:
    destination = control.add_destination("http://127.0.0.1:1/hook", secret="whsec_a")
    rotated = control.tamper("rotate_secret", destination_id=destination["id"], secret="whsec_b")
    control.run_clock()
    first = control.now()
    assert (rotated, NOON <= first <= control.now()) == ("whsec_b", True)


def test_the_log_shows_the_latest_requests_and_none_where_none_is_asked_for(
    client: stripe.StripeClient, control: SimulatorClient
) -> None:
    for _ in range(3):
        client.v1.customers.list()
    control.add_fault("http_500", "/v1/prices")
    assert [len(control.requests(limit=limit)) for limit in (0, 2, 9)] == [0, 2, 3]
    assert [(rule["kind"], rule["seen"]) for rule in control.faults()] == [("http_500", 0)]


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("clock", "[]", "must be a JSON object"),
        ("clock", "{", "Expecting"),
        ("deliver", "{}", "Missing: id"),
        ("deliver", '{"id": "dlv_none"}', "No such delivery"),
        ("tamper", '{"what": "explode"}', "cannot explode; it can lose_hour"),
        ("webhooks", '{"mode": "loud"}', "automatic or manual"),
    ],
)
def test_a_control_request_that_makes_no_sense_is_refused_in_words(
    simulator: Simulator, name: str, body: str, message: str
) -> None:
    status, response, _ = call_http(simulator, "POST", f"/_simulator/{name}", body)
    assert status in (400, 404)
    assert message in response["error"]["message"]
