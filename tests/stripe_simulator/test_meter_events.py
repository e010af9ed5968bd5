"""Meter events one by one, over v1 and v2: identifiers, refusals, adjustments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator, rfc3339
from tests.stripe_simulator.calls import v2_event
from tests.stripe_simulator.moments import HOUR, NOON

pytestmark = pytest.mark.enable_socket

Make = Callable[..., Any]


def test_a_duplicate_identifier_is_a_400_without_a_code(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    send(customer, 1, identifier="once")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        send(customer, 2, identifier="once")
    assert caught.value.http_status == 400
    assert caught.value.code is None
    assert caught.value.user_message == "An event already exists with identifier once."
    assert caught.value.headers is not None
    assert caught.value.headers["stripe-should-retry"] == "false"
    simulator.settings.duplicate_code = "duplicate_meter_event"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        send(customer, 2, identifier="once")
    assert caught.value.code == "duplicate_meter_event"
    assert simulator.account.hourly(customer, "readings") == {NOON: 1}


def test_an_identifier_is_accepted_again_after_its_window(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter(window=None)
    send(customer, 1, identifier="once")
    simulator.clock.advance(24 * HOUR - 1)
    with pytest.raises(stripe.InvalidRequestError):
        send(customer, 1, identifier="once")
    simulator.clock.advance(1)
    send(customer, 1, identifier="once")
    assert simulator.account.hourly(customer, "readings") == {NOON: 2}


@pytest.mark.parametrize(
    ("change", "message", "code", "param"),
    [
        ({"customer": "cus_x"}, "No such customer: 'cus_x'", "resource_missing", "payload[stripe_customer_id]"),
        ({"event_name": "other"}, "No active meter found for event name 'other'", None, "event_name"),
        ({"timestamp": NOON - 35 * 24 * HOUR - 1}, "within the past 35 calendar days", None, "timestamp"),
        ({"timestamp": NOON + 301}, "5 minutes in the future", None, "timestamp"),
        ({"value": "1.5"}, "whole number", None, "payload[value]"),
        ({"value": "ten"}, "whole number", None, "payload[value]"),
        ({"value": "1234567890123456"}, "15 significant digits", None, "payload[value]"),
        ({"identifier": "x" * 101}, "at most 100 characters", None, "identifier"),
    ],
)
def test_v1_refuses_bad_events_at_once(
    make_meter: Make, send: Make, customer: str, change: Any, message: str, code: str | None, param: str
) -> None:
    make_meter()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        send(**{"customer": customer, "value": 1, **change})
    assert message in str(caught.value)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_v1_accepts_events_at_the_limits(make_meter: Make, send: Make, customer: str) -> None:
    make_meter()
    send(customer, 1, NOON - 35 * 24 * HOUR)
    send(customer, 999_999_999_999_999, NOON + 300, "x" * 100)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event_name": "other"}, "no_meter"),
        ({"payload": {"value": "1"}}, "payload_no_customer_defined"),
        ({"value": "x"}, "payload_invalid_value"),
        ({"no_value": True}, "payload_no_value_defined"),
        ({"identifier": "taken"}, "duplicate_meter_event"),
    ],
)
def test_v2_refuses_bad_single_events_by_code(
    client: stripe.StripeClient, make_meter: Make, send: Make, customer: str, change: dict[str, Any], code: str
) -> None:
    make_meter()
    send(customer, 1, identifier="taken")
    event = v2_event(customer, 1, "a") | {key: change[key] for key in change if key not in ("value", "no_value")}
    if "value" in change:
        event["payload"]["value"] = change["value"]
    if "no_value" in change:
        del event["payload"]["value"]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v2.billing.meter_events.create(event)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_v2_single_events_count(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter()
    event = client.v2.billing.meter_events.create(v2_event(customer, 6, "a"))  # type: ignore[arg-type]
    assert (event.identifier, event.timestamp) == ("a", rfc3339(NOON))
    assert simulator.account.hourly(customer, "readings") == {NOON: 6}


def test_a_cancelled_event_counts_no_more(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    send(customer, 5, identifier="first")
    send(customer, 9, identifier="second")

    def cancel(identifier: str) -> None:
        client.v1.billing.meter_event_adjustments.create(
            {"event_name": "readings", "type": "cancel", "cancel": {"identifier": identifier}}
        )

    cancel("second")
    assert simulator.account.hourly(customer, "readings") == {NOON: 5}
    with pytest.raises(stripe.InvalidRequestError):
        cancel("unknown")
    simulator.clock.advance(24 * HOUR + 1)
    with pytest.raises(stripe.InvalidRequestError):
        cancel("first")
