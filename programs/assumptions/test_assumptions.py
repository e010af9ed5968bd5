"""Everything that the design assumes of Stripe. `make verify-stripe` asks a real sandbox, given a test key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from billing.clock import hour_of
from billing.errors import StripeNotFoundError, StripeRefusedError
from billing.stripe_gateway.meter_events import MeterEvents
from billing.stripe_gateway.meters import list_meters
from billing.stripe_gateway.subscriptions import list_subscriptions, retrieve_subscription
from billing.stripe_gateway.summaries import hourly_summaries
from programs.assumptions.sandbox import Sandbox

pytestmark = pytest.mark.stripe_sandbox


def last_hour() -> datetime:
    return hour_of(datetime.now(UTC)) - timedelta(hours=1)


def send(
    sandbox: Sandbox, event_name: str, customer_id: str, value: int, at: datetime, identifier: str | None = None
) -> None:
    name = identifier or f"{sandbox.run}-{event_name}-{int(at.timestamp())}-{value}"
    MeterEvents(sandbox.gateway).create(event_name, name, int(at.timestamp()), customer_id, value)


@pytest.mark.parametrize("formula", ["sum", "last"])
@pytest.mark.parametrize("values", [(5, 9), (9, 5), (9, 0), (4, 4, 7)])
def test_a_newer_event_of_an_hour_overwrites_the_older(sandbox: Sandbox, formula: str, values: tuple[int, ...]) -> None:
    meter, customer_id, start = sandbox.meter(formula), sandbox.customer(), last_hour()

    for second, value in enumerate(values, start=1):
        name = f"{sandbox.run}-{formula}-{second}-{value}"
        send(sandbox, meter.event_name, customer_id, value, start + timedelta(seconds=second), name)

    def counted() -> float | None:
        summaries = hourly_summaries(sandbox.gateway, meter.id, customer_id, start, start + timedelta(hours=1))
        return summaries.get(start, 0)

    assert sandbox.eventually(counted, values[-1]) == values[-1]


def test_a_raw_meter_adds_up_what_is_sent_twice(sandbox: Sandbox) -> None:
    meter, customer_id, start = sandbox.meter("sum", None), sandbox.customer(), last_hour()

    send(sandbox, meter.event_name, customer_id, 5, start + timedelta(seconds=1))
    send(sandbox, meter.event_name, customer_id, 5, start + timedelta(seconds=2))

    def counted() -> float | None:
        summaries = hourly_summaries(sandbox.gateway, meter.id, customer_id, start, start + timedelta(hours=1))
        return summaries.get(start, 0)

    assert sandbox.eventually(counted, 10) == 10, "which is why a run refuses to send totals to such a meter"


def test_the_hours_are_summarised_each_by_itself(sandbox: Sandbox) -> None:
    meter, customer_id, start = sandbox.meter(), sandbox.customer(), last_hour() - timedelta(hours=2)
    for hour, value in enumerate((3, 5, 7)):
        send(sandbox, meter.event_name, customer_id, value, start + timedelta(hours=hour, seconds=1))

    def counted() -> dict[datetime, float]:
        summaries = hourly_summaries(sandbox.gateway, meter.id, customer_id, start, start + timedelta(hours=3))
        return {hour: value for hour, value in summaries.items() if value}

    expected = {start + timedelta(hours=hour): value for hour, value in enumerate((3, 5, 7))}
    assert sandbox.eventually(counted, expected) == expected


def test_a_duplicate_identifier_is_refused_with_a_message_that_names_it(sandbox: Sandbox) -> None:
    meter, customer_id, start = sandbox.meter(), sandbox.customer(), last_hour()
    event = {
        "event_name": meter.event_name,
        "identifier": f"{sandbox.run}-twice",
        "timestamp": int(start.timestamp()),
        "payload": {"stripe_customer_id": customer_id, "value": "5"},
    }
    sandbox.call(lambda client: client.v1.billing.meter_events.create(event))

    with pytest.raises(StripeRefusedError) as refused:
        sandbox.call(lambda client: client.v1.billing.meter_events.create(event))

    assert refused.value.code == "duplicate_meter_event" or f"{sandbox.run}-twice" in str(refused.value)
    send(sandbox, meter.event_name, customer_id, 5, start, f"{sandbox.run}-twice")


@pytest.mark.parametrize("age", [timedelta(days=35, hours=1), timedelta(minutes=-10)])
def test_a_timestamp_too_old_or_in_the_future_is_refused(sandbox: Sandbox, age: timedelta) -> None:
    meter, customer_id = sandbox.meter(), sandbox.customer()

    with pytest.raises(StripeRefusedError):
        send(sandbox, meter.event_name, customer_id, 5, datetime.now(UTC) - age)


@pytest.mark.parametrize("age", [timedelta(days=34, hours=22), timedelta(seconds=0)])
def test_a_timestamp_within_the_past_35_days_is_taken(sandbox: Sandbox, age: timedelta) -> None:
    meter, customer_id = sandbox.meter(), sandbox.customer()

    send(sandbox, meter.event_name, customer_id, 5, datetime.now(UTC) - age)


def test_an_unknown_customer_and_an_unknown_meter_are_told_apart(sandbox: Sandbox) -> None:
    meter, customer_id = sandbox.meter(), sandbox.customer()

    with pytest.raises(StripeRefusedError, match="No such customer"):
        send(sandbox, meter.event_name, "cus_doesnotexist", 5, last_hour())
    with pytest.raises(StripeRefusedError, match="No active meter"):
        send(sandbox, f"unknown_{sandbox.run}", customer_id, 5, last_hour())


def test_an_identifier_of_100_characters_and_a_value_of_15_digits_are_taken(sandbox: Sandbox) -> None:
    meter, customer_id = sandbox.meter(), sandbox.customer()

    send(sandbox, meter.event_name, customer_id, 10**15 - 1, last_hour(), sandbox.run.ljust(100, "x"))
    with pytest.raises(StripeRefusedError):
        send(sandbox, meter.event_name, customer_id, 10**15, last_hour())


def test_a_meter_shows_what_the_check_of_a_run_needs(sandbox: Sandbox) -> None:
    meter = sandbox.meter("sum", "hour")
    raw = sandbox.meter("sum", None)

    found = {each.meter_id: each for each in list_meters(sandbox.gateway)}

    assert (found[meter.id].formula, found[meter.id].event_time_window) == ("sum", "hour")
    assert (found[meter.id].customer_key, found[meter.id].value_key) == ("stripe_customer_id", "value")
    assert (found[raw.id].status, found[raw.id].event_time_window) == ("active", None)


def test_a_subscription_has_its_periods_on_its_items(sandbox: Sandbox) -> None:
    customer_id, price_id = sandbox.customer(), sandbox.metered_price(sandbox.meter())
    made = sandbox.call(
        lambda client: client.v1.subscriptions.create(
            {"customer": customer_id, "items": [{"price": price_id}], "metadata": {"organization_id": "acme"}}
        )
    )

    subscription = retrieve_subscription(sandbox.gateway, made.id)

    assert subscription is not None
    assert (subscription.customer_id, subscription.organization_id) == (customer_id, "acme")
    assert (subscription.status, subscription.ended_at) == ("active", None)
    assert subscription.price_ids == (price_id,)
    assert subscription.current_period_start is not None
    assert subscription.current_period_end is not None
    assert subscription.current_period_end - subscription.current_period_start >= timedelta(days=28)


def test_the_subscriptions_of_a_customer_are_listed_with_the_ended_ones(sandbox: Sandbox) -> None:
    customer_id, price_id = sandbox.customer(), sandbox.metered_price(sandbox.meter())
    first, second = (
        sandbox.call(
            lambda client: client.v1.subscriptions.create({"customer": customer_id, "items": [{"price": price_id}]})
        ).id
        for _ in range(2)
    )
    sandbox.call(lambda client: client.v1.subscriptions.cancel(first))

    found = {each.subscription_id: each for each in list_subscriptions(sandbox.gateway, customer_id)}

    assert {name: each.status for name, each in found.items()} == {first: "canceled", second: "active"}
    assert found[first].ended_at is not None
    assert not found[first].is_living


def test_what_does_not_exist_is_told_apart_from_a_failure(sandbox: Sandbox) -> None:
    assert retrieve_subscription(sandbox.gateway, "sub_doesnotexist") is None
    assert list_subscriptions(sandbox.gateway, "cus_doesnotexist") == []
    with pytest.raises(StripeNotFoundError):
        hourly_summaries(
            sandbox.gateway, "mtr_doesnotexist", sandbox.customer(), last_hour(), hour_of(datetime.now(UTC))
        )


def test_a_checkout_session_carries_the_organisation(sandbox: Sandbox) -> None:
    price_id = sandbox.metered_price(sandbox.meter())

    session = sandbox.call(
        lambda client: client.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "client_reference_id": "acme",
                "customer": sandbox.customer(),
                "line_items": [{"price": price_id}],
                "subscription_data": {"metadata": {"organization_id": "acme"}},
                "success_url": "https://sensors.example/done",
            }
        )
    )

    assert (session.client_reference_id, session.mode, session.status) == ("acme", "subscription", "open")
    assert session.url
    assert session.subscription is None
