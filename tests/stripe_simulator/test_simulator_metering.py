"""Meters, meter events, the stream, summaries, adjustments and error reports behave as stripe-facts.md says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from stripe_simulator.clock import rfc3339
from tests.stripe_simulator.conftest import HOUR, NOON

pytestmark = pytest.mark.enable_socket

Make = Callable[..., Any]


def stream(client: stripe.StripeClient, events: list[dict[str, Any]], token: str | None = None) -> None:
    token = token or client.v2.billing.meter_event_session.create().authentication_token
    client.v2.billing.meter_event_stream.create({"events": events}, {"api_key": token})  # type: ignore[typeddict-item]


def usage(customer: str, value: Any, identifier: str, timestamp: int = NOON, name: str = "readings") -> dict[str, Any]:
    return {
        "event_name": name,
        "identifier": identifier,
        "timestamp": rfc3339(timestamp),
        "payload": {"stripe_customer_id": customer, "value": str(value)},
    }


def test_a_newer_event_of_an_hour_overwrites_the_older_one_also_downwards(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    send(customer, 10, NOON - HOUR)
    send(customer, 4, NOON - HOUR + 1)
    send(customer, 7, NOON)
    assert simulator.account.hourly(customer, "readings") == {NOON - HOUR: 4, NOON: 7}
    assert simulator.account.billed(customer, "readings", NOON - HOUR, NOON + HOUR) == 11


def test_most_recent_means_arrival_or_timestamp_by_setting(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    send(customer, 10, NOON + 5)
    send(customer, 4, NOON)
    assert simulator.account.hourly(customer, "readings") == {NOON: 4}
    simulator.settings.most_recent = "timestamp"
    assert simulator.account.hourly(customer, "readings") == {NOON: 10}
    send(customer, 3, NOON + 5)
    assert simulator.account.hourly(customer, "readings") == {NOON: 3}


def test_a_raw_sum_meter_counts_every_event(simulator: Simulator, make_meter: Make, send: Make, customer: str) -> None:
    assert make_meter(window=None).event_time_window is None
    send(customer, 10)
    send(customer, 10)
    assert simulator.account.hourly(customer, "readings") == {NOON: 20}


def test_last_and_count_meters_follow_their_formula(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter("sensors", "last")
    make_meter("logins", "count", None)
    for hour, value in ((0, 5), (1, 9), (2, 3)):
        send(customer, value, NOON - hour * HOUR, event_name="sensors")
        send(customer, value, NOON - hour * HOUR, event_name="logins")
    assert simulator.account.billed(customer, "sensors", NOON - 2 * HOUR, NOON + 1) == 5
    assert simulator.account.billed(customer, "sensors", NOON - 2 * HOUR, NOON) == 9
    assert simulator.account.billed(customer, "logins", NOON - 2 * HOUR, NOON + 1) == 3


def test_a_day_window_keeps_the_most_recent_event_of_the_day(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter(window="day")
    send(customer, 10, NOON - 11 * HOUR)
    send(customer, 4, NOON)
    assert simulator.account.hourly(customer, "readings") == {NOON: 4}


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


def test_a_deactivated_meter_takes_no_events_until_it_is_reactivated(
    client: stripe.StripeClient, make_meter: Make, send: Make, customer: str
) -> None:
    meter = make_meter()
    assert client.v1.billing.meters.deactivate(meter.id).status == "inactive"
    with pytest.raises(stripe.InvalidRequestError, match="No active meter found"):
        send(customer, 1)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v2.billing.meter_events.create(usage(customer, 1, "a"))  # type: ignore[arg-type]
    assert caught.value.code == "archived_meter"
    assert client.v1.billing.meters.list({"status": "active"}).data == []
    client.v1.billing.meters.reactivate(meter.id)
    send(customer, 1)


def test_an_event_name_belongs_to_one_meter_and_only_its_display_name_changes(
    client: stripe.StripeClient, make_meter: Make
) -> None:
    meter = make_meter()
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        make_meter()
    assert client.v1.billing.meters.update(meter.id, {"display_name": "New"}).display_name == "New"
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        client.v1.billing.meters.update(meter.id, {"event_time_window": "day"})  # type: ignore[arg-type]


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
    event = usage(customer, 1, "a") | {key: change[key] for key in change if key not in ("value", "no_value")}
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
    event = client.v2.billing.meter_events.create(usage(customer, 6, "a"))  # type: ignore[arg-type]
    assert (event.identifier, event.timestamp) == ("a", rfc3339(NOON))
    assert simulator.account.hourly(customer, "readings") == {NOON: 6}


def test_the_stream_answers_200_first_and_reports_bad_events_later(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    meter = make_meter()
    thin = simulator.webhooks.add_destination(payload="thin")
    bad = [usage("cus_gone", 1, f"bad-{number}") for number in range(5)]
    old = usage(customer, 1, "old", NOON - 36 * 24 * HOUR)
    stream(client, [usage(customer, 8, "good"), *bad, old])
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
    stream(client, [usage(customer, 1, "a", name="nothing")])
    listed: Any = client.v2.core.events.list({"types": ["v1.billing.meter.no_meter_found"]})
    (event,) = listed.data
    assert event.data.reason.error_types[0].code == "no_meter"


def test_error_reports_come_late_where_told_to(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make
) -> None:
    make_meter()
    simulator.settings.error_report_delay_seconds = 600
    simulator.webhooks.add_destination(payload="thin")
    stream(client, [usage("cus_gone", 1, "bad")])
    assert simulator.webhooks.take() == []
    simulator.clock.advance(600)
    assert [one.event_type for one in simulator.webhooks.take()] == ["v1.billing.meter.error_report_triggered"]


def test_a_duplicate_on_the_stream_is_dropped_or_reported_by_setting(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter()
    stream(client, [usage(customer, 8, "a"), usage(customer, 9, "a")])
    assert simulator.account.hourly(customer, "readings") == {NOON: 8}
    assert client.v2.core.events.list({"types": ["v1.billing.meter.error_report_triggered"]}).data == []
    simulator.settings.stream_duplicates = "reported"
    stream(client, [usage(customer, 9, "a")])
    assert len(client.v2.core.events.list({"types": ["v1.billing.meter.error_report_triggered"]}).data) == 1


def test_the_stream_refuses_malformed_requests_as_a_whole(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter()
    for events in (
        [usage(customer, 1, str(number)) for number in range(101)],
        [],
        [usage(customer, 1, "a") | {"timestamp": "yesterday"}],
        [usage(customer, 1, "a") | {"payload": {"stripe_customer_id": customer, "value": 1}}],
    ):
        with pytest.raises(stripe.InvalidRequestError):
            stream(client, events)
    assert simulator.account.hourly(customer, "readings") == {}
    stream(client, [usage(customer, 1, str(number)) for number in range(100)])


def test_a_stream_session_lasts_fifteen_minutes(
    client: stripe.StripeClient, simulator: Simulator, make_meter: Make, customer: str
) -> None:
    make_meter()
    session = client.v2.billing.meter_event_session.create()
    assert session.expires_at == rfc3339(NOON + 900)
    simulator.clock.advance(899)
    stream(client, [usage(customer, 1, "a")], session.authentication_token)
    simulator.clock.advance(1)
    with pytest.raises(stripe.TemporarySessionExpiredError) as caught:
        stream(client, [usage(customer, 1, "b")], session.authentication_token)
    assert caught.value.code == "billing_meter_event_session_expired"
    simulator.settings.session_expired_type = "invalid_request_error"
    with pytest.raises(stripe.AuthenticationError) as other:
        stream(client, [usage(customer, 1, "b")], session.authentication_token)
    assert other.value.code is None
    assert other.value.error is not None
    assert other.value.error.code == "billing_meter_event_session_expired"
    with pytest.raises(stripe.AuthenticationError):
        stream(client, [usage(customer, 1, "b")], "sk_test_simulator")


def test_a_sandbox_may_be_denied_the_stream(client: stripe.StripeClient, simulator: Simulator) -> None:
    simulator.settings.stream_in_sandbox = False
    with pytest.raises(stripe.InvalidRequestError):
        client.v2.billing.meter_event_session.create()
    live = stripe.StripeClient("sk_live_x", base_addresses=simulator.base_addresses)
    assert live.v2.billing.meter_event_session.create().livemode


def test_summaries_by_hour_come_newest_first_and_in_pages(
    client: stripe.StripeClient, make_meter: Make, send: Make, customer: str
) -> None:
    meter = make_meter()
    for hour in range(5):
        send(customer, hour, NOON - hour * HOUR)
    window: Any = {"customer": customer, "start_time": NOON - 24 * HOUR, "end_time": NOON + HOUR}
    grouped = window | {"value_grouping_window": "hour"}
    first = client.v1.billing.meters.event_summaries.list(meter.id, grouped | {"limit": 2})
    assert [(one.start_time, one.aggregated_value) for one in first.data] == [(NOON, 0), (NOON - HOUR, 1)]
    assert first.has_more
    every = list(first.auto_paging_iter())
    assert [one.aggregated_value for one in every] == [0, 1, 2, 3, 4]
    assert every[0].end_time == NOON + HOUR
    (total,) = client.v1.billing.meters.event_summaries.list(meter.id, window).data
    assert (total.aggregated_value, total.start_time) == (10, NOON - 24 * HOUR)


def test_summaries_by_day_add_the_hours(
    client: stripe.StripeClient, make_meter: Make, send: Make, customer: str
) -> None:
    meter = make_meter()
    midnight = NOON - 12 * HOUR
    for timestamp in (midnight - HOUR, midnight, midnight + HOUR):
        send(customer, 3, timestamp)
    days: Any = {"customer": customer, "start_time": midnight - 24 * HOUR, "end_time": midnight + 24 * HOUR}
    listed = client.v1.billing.meters.event_summaries.list(meter.id, days | {"value_grouping_window": "day"})
    assert [(one.start_time, one.aggregated_value) for one in listed.data] == [
        (midnight, 6),
        (midnight - 24 * HOUR, 3),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"start_time": NOON - HOUR + 1},
        {"start_time": NOON - HOUR + 60, "value_grouping_window": "hour"},
        {"start_time": NOON - HOUR, "value_grouping_window": "day"},
        {"limit": 0},
        {"limit": 101},
        {"customer": "cus_x"},
        {"start_time": NOON + HOUR},
        {"value_grouping_window": "minute"},
    ],
)
def test_summaries_refuse_times_and_limits_that_do_not_fit(
    client: stripe.StripeClient, make_meter: Make, customer: str, change: dict[str, Any]
) -> None:
    meter = make_meter()
    params: Any = {"customer": customer, "start_time": NOON - HOUR, "end_time": NOON, **change}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.billing.meters.event_summaries.list(meter.id, params)


def test_summaries_and_bills_lag_behind_by_setting(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    simulator.settings.ingestion_lag_seconds = 60
    send(customer, 5)
    assert simulator.account.hourly(customer, "readings") == {}
    simulator.clock.advance(60)
    assert simulator.account.hourly(customer, "readings") == {NOON: 5}


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


def test_an_hour_can_be_lost_or_doubled_and_a_new_event_heals_it(
    simulator: Simulator, make_meter: Make, send: Make, customer: str
) -> None:
    make_meter()
    send(customer, 5, NOON, "a")
    send(customer, 6, NOON - HOUR, "b")
    assert simulator.account.meter_events.lose_hour(customer, "readings", NOON) == 1
    assert simulator.account.meter_events.double_hour(customer, "readings", NOON - HOUR) == 1
    assert simulator.account.hourly(customer, "readings") == {NOON - HOUR: 12}
    with pytest.raises(stripe.InvalidRequestError):
        send(customer, 5, NOON, "a")
    send(customer, 5, NOON, "c")
    send(customer, 6, NOON - HOUR, "d")
    assert simulator.account.hourly(customer, "readings") == {NOON - HOUR: 6, NOON: 5}
