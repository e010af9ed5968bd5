"""The meter event stream: its sessions, and the reports of what it refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator, rfc3339
from tests.stripe_simulator.calls import stream, v2_event
from tests.stripe_simulator.moments import HOUR, NOON

pytestmark = pytest.mark.enable_socket

Make = Callable[..., Any]


def test_the_stream_responds_200_first_and_reports_bad_events_later(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    meter = make_meter()
    thin = simulator.webhooks.add_destination(payload="thin")
    bad = [v2_event("cus_gone", 1, f"bad-{number}") for number in range(5)]
    old = v2_event(customer, 1, "old", NOON - 36 * 24 * HOUR)
    stream(client, [v2_event(customer, 8, "good"), *bad, old])
    assert simulator.account.hourly(customer, "readings") == {NOON: 8}
    (delivery,) = simulator.webhooks.take()
    assert "data" not in delivery.event()
    signature = delivery.headers()["Stripe-Signature"]
    notification: Any = client.parse_event_notification(delivery.body, signature, thin.secret)
    assert notification.type == "v1.billing.meter.error_report_triggered"
    assert notification.fetch_related_object().id == meter.id
    reason = notification.fetch_event().data.reason
    assert reason.error_count == 6
    gone, past = reason.error_types
    assert (gone.code, gone.error_count) == ("meter_event_customer_not_found", 5)
    assert [sample.request.identifier for sample in gone.sample_errors] == ["bad-0", "bad-1", "bad-2"]
    assert past.code == "timestamp_too_far_in_past"


def test_an_event_without_a_meter_is_reported_as_no_meter_found(
    client: stripe.StripeClient, simulator: Simulator, customer: str
) -> None:
    stream(client, [v2_event(customer, 1, "a", name="nothing")])
    listed: Any = client.v2.core.events.list({"types": ["v1.billing.meter.no_meter_found"]})
    (event,) = listed.data
    assert event.data.reason.error_types[0].code == "no_meter"


def test_error_reports_come_late_where_told_to(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make
) -> None:
    make_meter()
    simulator.settings.error_report_delay_seconds = 600
    simulator.webhooks.add_destination(payload="thin")
    stream(client, [v2_event("cus_gone", 1, "bad")])
    assert simulator.webhooks.take() == []
    simulator.clock.advance(600)
    assert [one.event_type for one in simulator.webhooks.take()] == ["v1.billing.meter.error_report_triggered"]


def test_a_duplicate_on_the_stream_is_dropped_or_reported_by_setting(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter()
    stream(client, [v2_event(customer, 8, "a"), v2_event(customer, 9, "a")])
    assert simulator.account.hourly(customer, "readings") == {NOON: 8}
    assert client.v2.core.events.list({"types": ["v1.billing.meter.error_report_triggered"]}).data == []
    simulator.settings.stream_duplicates = "reported"
    stream(client, [v2_event(customer, 9, "a")])
    assert len(client.v2.core.events.list({"types": ["v1.billing.meter.error_report_triggered"]}).data) == 1


def test_the_stream_refuses_malformed_requests_as_a_whole(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter()
    for events in (
        [v2_event(customer, 1, str(number)) for number in range(101)],
        [],
        [v2_event(customer, 1, "a") | {"timestamp": "yesterday"}],
        [v2_event(customer, 1, "a") | {"payload": {"stripe_customer_id": customer, "value": 1}}],
    ):
        with pytest.raises(stripe.InvalidRequestError):
            stream(client, events)
    assert simulator.account.hourly(customer, "readings") == {}
    stream(client, [v2_event(customer, 1, str(number)) for number in range(100)])


def test_a_stream_session_lasts_fifteen_minutes(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter()
    session = client.v2.billing.meter_event_session.create()
    assert session.expires_at == rfc3339(NOON + 900)
    simulator.clock.advance(899)
    stream(client, [v2_event(customer, 1, "a")], session.authentication_token)
    simulator.clock.advance(1)
    with pytest.raises(stripe.TemporarySessionExpiredError) as caught:
        stream(client, [v2_event(customer, 1, "b")], session.authentication_token)
    assert caught.value.code == "billing_meter_event_session_expired"
    simulator.settings.session_expired_type = "invalid_request_error"
    with pytest.raises(stripe.AuthenticationError) as other:
        stream(client, [v2_event(customer, 1, "b")], session.authentication_token)
    assert other.value.code is None
    assert other.value.error is not None
    assert other.value.error.code == "billing_meter_event_session_expired"
    with pytest.raises(stripe.AuthenticationError):
        stream(client, [v2_event(customer, 1, "b")], "sk_test_simulator")


def test_a_sandbox_may_be_denied_the_stream(client: stripe.StripeClient, simulator: Simulator) -> None:
    simulator.settings.stream_in_sandbox = False
    with pytest.raises(stripe.InvalidRequestError):
        client.v2.billing.meter_event_session.create()
    live = stripe.StripeClient("sk_live_x", base_addresses=simulator.base_addresses)
    assert live.v2.billing.meter_event_session.create().livemode
