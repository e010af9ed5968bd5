"""Senders of one hour, interleaved call by call: what a run nested whole inside another cannot show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from billing import clock, get_stripe_meter_service
from billing.metering.invocation import process_shards
from billing.tables.usage import UsageRecord, shard_of
from tests.support.due_hours import due_hour, subscribed
from tests.support.interleaving import Interleaving, Process

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

SENSORS, READINGS = "active_sensors", "temperature_readings"
START = datetime(2026, 11, 23, 8, 5, tzinfo=UTC)
HOUR = datetime(2026, 11, 23, 7, tzinfo=UTC)
TRANSPORTS = ("single", "stream")
READINGS_OF_MOST_RECENT = ("arrival", "timestamp")


class OneHour:
    """One organisation's hour, the runs that send it, and what Stripe counts of it."""

    def __init__(self, stack: Stack, dynamodb: DynamoDBClient, interleaving: Interleaving) -> None:
        self.stack, self._dynamodb, self._interleaving = stack, dynamodb, interleaving
        subscribed(stack, dynamodb, ["acme"])

    def count(self, **counts: int) -> None:
        """Write counts of the hour, as a writer in any language would."""
        names = ", ".join(f"{name} = :{name}" for name in counts)
        item = due_hour("acme", start=HOUR)
        self._dynamodb.update_item(
            TableName="UsageTable",
            Key={name: item[name] for name in ("organization_id", "window_start")},
            UpdateExpression=f"SET {names}, due_shard = :shard, due_at = :end",
            ExpressionAttributeValues={
                ":shard": item["due_shard"],
                ":end": item["due_at"],
                **{f":{name}": {"N": str(count)} for name, count in counts.items()},
            },
        )

    def run(self) -> Process:
        """Start a run; it stands before its first call."""
        return self._interleaving.start(lambda: process_shards([shard_of("acme")], clock.utc_now()))

    def report(self, sensors: int) -> Process:
        """Start a report of the number of sensors by the service; it stands before its first call."""
        service = get_stripe_meter_service()
        return self._interleaving.start(
            lambda: service.report_active_sensors_with_timestamp("acme", sensors, HOUR.timestamp())
        )

    @property
    def item(self) -> UsageRecord:
        return UsageRecord.get("acme", clock.format_time(HOUR), consistent_read=True)

    def at_stripe(self, event_name: str) -> int:
        (customer_id,) = self.stack.customers["acme"]
        return self.stack.simulator.account.hourly(customer_id, event_name).get(int(HOUR.timestamp()), 0)

    def assert_is_exact_or_due(self) -> None:
        """Assert that Stripe counts what was counted, now or, where the hour is due, after the next runs."""
        for _ in range(3):
            if not self.item.due_at:
                break
            self.stack.advance(hours=1)
            self.run().finish()
        item = self.item
        assert not item.due_at, "two runs are enough"
        counted = {name: int(getattr(item, name) or 0) for name in (SENSORS, READINGS)}
        assert {name: self.at_stripe(name) for name in (SENSORS, READINGS)} == counted


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
