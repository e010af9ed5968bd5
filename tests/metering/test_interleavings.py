"""Senders of one hour, interleaved call by call: what a run nested whole inside another cannot show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from billing.tables.usage import make_unreported_due
from tests.metering.one_hour import HOUR, READINGS_OF_MOST_RECENT, SENSORS, START, TRANSPORTS, OneHour
from tests.support.due_hours import subscribed
from tests.support.interleaving import Interleaving

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack


@pytest.fixture
def interleaving(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interleaving]:
    with Interleaving(monkeypatch) as interleaving:
        yield interleaving


@pytest.fixture(
    params=[(transport, reading) for transport in TRANSPORTS for reading in READINGS_OF_MOST_RECENT], ids=str
)
def hour(
    stack: Stack,
    dynamodb: DynamoDBClient,
    interleaving: Interleaving,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> OneHour:
    """Give an organisation's hour, with nothing counted yet; for both transports and both readings of "most recent"."""
    transport, reading = request.param
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    stack.simulator.clock.set(START)
    stack.simulator.settings.update({"most_recent": reading})
    return OneHour(stack, dynamodb, interleaving)


@pytest.mark.parametrize("newer_is_reported", [False, True], ids=["by a run", "by the service"])
def test_a_total_declared_again_is_not_overlooked_by_whoever_read_the_hour_before(
    hour: OneHour, newer_is_reported: bool
) -> None:
    hour.count(active_sensors=1)
    hour.run().run_until("send").kill()
    hour.stack.advance(hours=1)
    older = hour.run().run_until("declare")
    if newer_is_reported:
        newer = hour.report(2).run_until("declare")
    else:
        hour.count(active_sensors=2)
        newer = hour.run().run_until("declare")
    older.step()
    newer.finish()
    older.finish()

    hour.assert_is_exact_or_due()


def test_the_end_of_a_doubt_does_not_forget_who_sends_the_same_total(hour: OneHour) -> None:
    hour.count(active_sensors=5)
    first = hour.run().run_until("send")
    hour.count(active_sensors=6)
    hour.stack.advance(minutes=10)
    second = hour.run().run_until("send")
    hour.stack.advance(minutes=4)
    first.kill()
    hour.stack.advance(minutes=3)
    hour.run().finish()
    hour.count(active_sensors=7)
    hour.run().finish()
    hour.stack.advance(minutes=3)
    second.finish()

    hour.assert_is_exact_or_due()


def test_only_the_last_of_two_senders_of_the_same_totals_settles(hour: OneHour) -> None:
    hour.count(active_sensors=3, temperature_readings=120)
    hour.run().finish()
    hour.count(active_sensors=4)
    first = hour.run().run_until("send")
    second = hour.run().run_until("send")
    first.finish()
    hour.count(temperature_readings=150)
    hour.run().finish()
    second.finish()

    hour.assert_is_exact_or_due()


def test_an_hour_is_not_refused_when_another_sender_may_get_it_accepted(hour: OneHour) -> None:
    hour.count(active_sensors=3)
    first = hour.run().run_until("send")
    second = hour.run().run_until("send")
    hour.stack.simulator.faults.add("http_400")
    second.finish()
    hour.stack.simulator.faults.clear()
    assert hour.item.refused is None
    first.finish()

    assert hour.at_stripe(SENSORS) == 3
    hour.assert_is_exact_or_due()


def test_an_hour_that_stripe_may_have_taken_stays_with_its_customer(hour: OneHour, dynamodb: DynamoDBClient) -> None:
    hour.count(active_sensors=3)
    dies = hour.run().run_until("send")
    dies.step()
    dies.kill()
    hour.stack.advance(hours=1)
    refused = hour.run().run_until("send")
    hour.stack.simulator.faults.add("http_400")
    refused.finish()
    hour.stack.simulator.faults.clear()
    assert hour.item.refused.startswith("refused_by_stripe")
    (before,) = hour.stack.customers["acme"]
    subscribed(hour.stack, dynamodb, ["acme"])
    hour.count(active_sensors=5)
    refused_again = hour.run().run_until("send")
    hour.stack.simulator.faults.add("http_400")
    refused_again.finish()
    hour.stack.simulator.faults.clear()
    assert hour.item.reported_to == before
    hour.count(active_sensors=4)
    hour.run().finish()

    hour.stack.customers["acme"].add(before)
    totals = [hour.stack.simulator.account.hourly(one, SENSORS) for one in hour.stack.customers["acme"]]
    assert sorted(sum(total.values()) for total in totals) == [0, 4]


def test_an_hour_is_not_refused_when_an_attempt_without_a_response_came_before_the_refusal(hour: OneHour) -> None:
    hour.count(active_sensors=3)
    run = hour.run().run_until("send")
    hour.stack.simulator.faults.add("cut_after_effect", nth=1)
    hour.stack.simulator.faults.add("http_400", nth=2)
    run.finish()
    hour.stack.simulator.faults.clear()

    assert hour.item.refused is None
    assert hour.at_stripe(SENSORS) == 3
    hour.count(active_sensors=4)
    hour.assert_is_exact_or_due()


def test_reports_succeed_when_a_sender_died_before(hour: OneHour) -> None:
    hour.count(active_sensors=1)
    hour.run().run_until("send").kill()
    settled_after_minutes = None
    for minute in range(1, 41):
        hour.stack.advance(minutes=1)
        result = hour.report(100 + minute).finish()
        assert result.success, (minute, result)  # type: ignore[attr-defined]
        assert hour.at_stripe(SENSORS) == 100 + minute
        if settled_after_minutes is None and not hour.item.due_at:
            settled_after_minutes = minute

    assert settled_after_minutes is not None
    assert settled_after_minutes <= 17, "reports that follow each other do not prolong the doubt"


def test_a_total_that_stripe_dropped_is_sent_under_another_identifier_by_whoever_resends_it(hour: OneHour) -> None:
    """The sender died before it settled: the next one would send the same total under the same revision."""
    hour.count(active_sensors=3)
    dies = hour.run().run_until("settle")
    dies.kill()
    (customer_id,) = hour.stack.customers["acme"]
    assert hour.stack.simulator.account.meter_events.lose_hour(customer_id, SENSORS, HOUR.timestamp())
    assert make_unreported_due(hour.item)
    hour.run().finish()

    assert hour.at_stripe(SENSORS) == 3
    hour.assert_is_exact_or_due()
