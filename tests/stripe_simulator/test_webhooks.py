"""Events, destinations, signatures and deliveries behave as stripe-facts.md says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator, sign, with_expanded
from tests.stripe_simulator.moments import HOUR

pytestmark = pytest.mark.enable_socket

Subscribe = Callable[..., Any]


class Receiver(HTTPServer):
    """Answer posts with the statuses a test lines up, then with 200."""

    statuses: list[int]
    bodies: list[bytes]
    arrived: threading.Semaphore


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.bodies.append(body)
            self.send_response(server.statuses.pop(0) if server.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            server.arrived.release()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = Receiver(("127.0.0.1", 0), Handler)
    server.statuses, server.bodies, server.arrived = [], [], threading.Semaphore(0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url_of(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.server_address[1]}/hook"


def test_snapshot_and_thin_destinations_get_their_own_kind_and_secret(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe
) -> None:
    snapshots = simulator.webhooks.add_destination(enabled_events=["customer.subscription.created"])
    thin = simulator.webhooks.add_destination(payload="thin", enabled_events=["v1.customer.subscription.created"])
    session = subscribe()
    first, second = simulator.webhooks.take()
    event: Any = client.construct_event(first.body, first.headers()["Stripe-Signature"], snapshots.secret)
    assert (event.type, event.data.object.id) == ("customer.subscription.created", session.subscription)
    notification: Any = client.parse_event_notification(second.body, second.headers()["Stripe-Signature"], thin.secret)
    assert notification.related_object.id == session.subscription
    assert notification.fetch_related_object().status == "active"
    assert notification.fetch_event().snapshot_event == event.id
    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(first.body, first.headers()["Stripe-Signature"], thin.secret)
    with pytest.raises(ValueError, match="thin event"):
        client.construct_event(second.body, second.headers()["Stripe-Signature"], thin.secret)


def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(
    client: stripe.StripeClient, simulator: Simulator, customer: str
) -> None:
    destination = simulator.webhooks.add_destination()
    old = destination.secret
    new = simulator.webhooks.rotate_secret(destination.id)
    client.v1.customers.update(customer, {"name": "b"})
    (delivery,) = simulator.webhooks.take()
    for secret in (old, new):
        client.construct_event(delivery.body, delivery.headers()["Stripe-Signature"], secret)
    simulator.clock.advance(24 * HOUR)
    header = delivery.headers()["Stripe-Signature"]
    assert header.count("v1=") == 1
    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(delivery.body, header, old)


def test_an_old_signature_is_refused_by_the_sdk(client: stripe.StripeClient) -> None:
    body = b'{"id": "evt_1", "object": "event"}'
    assert client.construct_event(body, sign(body, "whsec_a"), "whsec_a").id == "evt_1"
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        client.construct_event(body, sign(body, "whsec_a", 1_700_000_000), "whsec_a")


def test_an_endpoint_gets_events_in_the_shape_of_its_version(
    simulator: Simulator, subscribe: Subscribe, seat: Any
) -> None:
    simulator.webhooks.add_destination(api_version="2024-06-20", enabled_events=["customer.subscription.created"])
    simulator.webhooks.add_destination(api_version="2024-06-20", enabled_events=["invoice.paid"])
    session = subscribe(line_items=[{"price": seat.id, "quantity": 1}])
    subscription, invoice = (delivery.event() for delivery in simulator.webhooks.take())
    assert subscription["api_version"] == "2024-06-20"
    thing = subscription["data"]["object"]
    assert thing["current_period_end"] > thing["current_period_start"]
    assert "current_period_end" not in thing["items"]["data"][0]
    assert invoice["data"]["object"]["subscription"] == session.subscription
    assert "parent" not in invoice["data"]["object"]


def test_an_event_can_hold_expanded_objects(simulator: Simulator, subscribe: Subscribe) -> None:
    session = subscribe()
    event = next(reversed(simulator.account.events.objects.values()))
    expanded = with_expanded(simulator.account, event, ["customer", "subscription"])["data"]["object"]
    assert expanded["customer"]["id"] == session.customer
    assert expanded["subscription"]["object"] == "subscription"
    assert event["data"]["object"]["customer"] == session.customer


def test_a_resend_makes_another_delivery_of_the_same_event(
    client: stripe.StripeClient, simulator: Simulator, customer: str
) -> None:
    simulator.webhooks.add_destination()
    client.v1.customers.update(customer, {"name": "b"})
    (first,) = simulator.webhooks.take()
    (second,) = simulator.webhooks.resend(first.event_id)
    assert (second.body, second.id != first.id) == (first.body, True)


def test_events_are_listed_by_type_time_and_delivery_and_kept_for_thirty_days(
    client: stripe.StripeClient, simulator: Simulator, customer: str
) -> None:
    simulator.webhooks.add_destination()
    client.v1.customers.update(customer, {"name": "b"})
    simulator.clock.advance(60)
    client.v1.customers.update(customer, {"name": "c"})
    first, _ = simulator.webhooks.take()
    first.record(200)

    def listed(**params: Any) -> list[str]:
        return [event.id for event in client.v1.events.list(params).data]  # type: ignore[arg-type]

    assert len(listed(type="customer.*")) == 3
    assert len(listed(types=["customer.updated"])) == 2
    newest, oldest = listed(types=["customer.updated"])
    assert listed(types=["customer.updated"], delivery_success=True) == [oldest]
    assert listed(types=["customer.updated"], delivery_success=False) == [newest]
    assert listed(created={"gte": int(simulator.clock.now())}) == [newest]
    assert client.v1.events.retrieve(newest).pending_webhooks == 1
    assert client.v1.events.retrieve(oldest).request.id.startswith("req_")  # type: ignore[union-attr]
    simulator.clock.advance(30 * 24 * HOUR - 30)
    assert listed() == [newest]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.retrieve(oldest)


def test_thin_events_are_listed_in_pages(client: stripe.StripeClient, simulator: Simulator) -> None:
    made = [client.v1.customers.create().id for _ in range(5)]
    listed = client.v2.core.events.list({"types": ["v1.customer.created"], "limit": 2})
    assert len(listed.data) == 2
    related = [event.related_object.id for event in listed.auto_paging_iter()]  # type: ignore[attr-defined]
    assert related == made[::-1]
    by_object = client.v2.core.events.list({"object_id": made[0]})
    assert [event.type for event in by_object.data] == ["v1.customer.created"]


def test_webhook_endpoints_show_their_secret_once(client: stripe.StripeClient, simulator: Simulator) -> None:
    made = client.v1.webhook_endpoints.create(
        {"url": "https://e.com", "enabled_events": ["invoice.paid"], "api_version": "2026-10-28.endive"}
    )
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    (listed,) = client.v1.webhook_endpoints.list().data
    assert not hasattr(listed, "secret")
    assert listed.api_version == "2026-10-28.endive"
    changed = client.v1.webhook_endpoints.update(made.id, {"enabled_events": ["*"], "disabled": True})
    assert (changed.status, changed.enabled_events) == ("disabled", ["*"])
    assert client.v1.webhook_endpoints.delete(made.id).deleted is True
    assert client.v1.webhook_endpoints.list().data == []


def test_event_destinations_show_secret_and_url_only_where_asked(
    client: stripe.StripeClient, simulator: Simulator
) -> None:
    params: Any = {
        "name": "thin",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": ["v1.customer.created"],
        "webhook_endpoint": {"url": "https://e.com"},
        "metadata": {"made_by": "provision"},
    }
    include = ["webhook_endpoint.signing_secret", "webhook_endpoint.url"]
    made = client.v2.core.event_destinations.create(params | {"include": include})
    assert made.webhook_endpoint is not None
    assert made.webhook_endpoint.signing_secret == simulator.webhooks.destinations[made.id].secret
    assert client.v2.core.event_destinations.retrieve(made.id).webhook_endpoint is None
    (listed,) = client.v2.core.event_destinations.list({"include": ["webhook_endpoint.url"]}).data
    assert listed.webhook_endpoint is not None
    assert listed.webhook_endpoint.url == "https://e.com"
    assert client.v2.core.event_destinations.disable(made.id).status == "disabled"
    client.v1.customers.create()
    assert simulator.webhooks.take() == []
    assert client.v2.core.event_destinations.enable(made.id).status == "enabled"
    client.v1.customers.create()
    assert [one.event_type for one in simulator.webhooks.take()] == ["v1.customer.created"]
    assert client.v2.core.event_destinations.update(made.id, {"name": "other"}).name == "other"
    client.v2.core.event_destinations.delete(made.id)
    assert client.v2.core.event_destinations.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        client.v2.core.event_destinations.create(params | {"enabled_events": ["customer.created"]})


def test_automatic_deliveries_are_retried_on_the_simulators_clock(
    client: stripe.StripeClient, simulator: Simulator, receiver: Receiver
) -> None:
    receiver.statuses = [500, 302]
    simulator.webhooks.add_destination(url_of(receiver), enabled_events=["customer.created"])
    simulator.webhooks.start_automatic()
    client.v1.customers.create()
    (delivery,) = simulator.webhooks.deliveries.values()
    assert receiver.arrived.acquire(timeout=5)
    for seconds in (300, 1500):
        _wait_until(lambda: simulator.webhooks.scheduled_count() == 1)
        simulator.clock.advance(seconds)
        assert receiver.arrived.acquire(timeout=5)
    _wait_until(lambda: delivery.delivered)
    assert [attempt.status for attempt in delivery.attempts] == [500, 302, 200]
    assert set(receiver.bodies) == {delivery.body}


def test_a_waiting_delivery_is_posted_on_request(
    client: stripe.StripeClient, simulator: Simulator, receiver: Receiver
) -> None:
    simulator.webhooks.add_destination(url_of(receiver))
    client.v1.customers.create()
    (delivery,) = simulator.webhooks.take()
    assert simulator.webhooks.deliver(delivery) == 200
    assert simulator.webhooks.deliver(delivery, "http://127.0.0.1:1/closed") is None
    assert delivery.attempts[1].error is not None


def test_a_url_that_cannot_be_posted_to_is_a_failed_attempt(client: stripe.StripeClient, simulator: Simulator) -> None:
    simulator.webhooks.add_destination("http://127.0.0.1:none/hook")
    client.v1.customers.create()
    (delivery,) = simulator.webhooks.take()
    assert simulator.webhooks.deliver(delivery) is None
    assert "ValueError" in str(delivery.attempts[0].error)


def _wait_until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("It did not happen in time")
