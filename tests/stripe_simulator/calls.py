"""Calls that the tests make beside those of a plain `StripeClient`, and what they ask the simulator."""

from __future__ import annotations

import http.client
import json
from typing import Any

import stripe

from stripe_simulator import Simulator, rfc3339
from tests.stripe_simulator.moments import NOON


def call_http(simulator: Simulator, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any, Any]:
    """Call without an SDK; return the status, the parsed body and the headers of the response."""
    connection = http.client.HTTPConnection(simulator.base_url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers
    finally:
        connection.close()


def impatient_client(simulator: Simulator, retries: int = 0, timeout_seconds: float = 0.3) -> stripe.StripeClient:
    """Return a client that waits no longer than `timeout_seconds` for a response."""
    return stripe.StripeClient(
        "sk_test_x",
        base_addresses=simulator.base_addresses,
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout_seconds),
    )


def event_types(simulator: Simulator) -> list[str]:
    """Return the types of all snapshot events, oldest first."""
    return [event["type"] for event in simulator.account.events.objects.values()]


def v2_event(
    customer: str, value: Any, identifier: str, timestamp: int = NOON, name: str = "readings"
) -> dict[str, Any]:
    """Return a meter event as v2 takes it."""
    return {
        "event_name": name,
        "identifier": identifier,
        "timestamp": rfc3339(timestamp),
        "payload": {"stripe_customer_id": customer, "value": str(value)},
    }


def stream(client: stripe.StripeClient, events: list[dict[str, Any]], token: str | None = None) -> None:
    """Send meter events over the stream, in a new session unless a session's token is given."""
    token = token or client.v2.billing.meter_event_session.create().authentication_token
    client.v2.billing.meter_event_stream.create({"events": events}, {"api_key": token})  # type: ignore[typeddict-item]
