"""Of a `last` meter the newest number of a period is also the last that Stripe receives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import clock, get_stripe_meter_service, record_active_sensors
from billing.clock import HOUR
from billing.metering.newest import send_newest_again
from billing.metering.outgoing import in_rounds
from billing.tables.usage import UsageRecord
from tests.support.due_hours import due_hour, link, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

SENSORS = "active_sensors"
EIGHT = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def subscribed(stack: Stack) -> str:
    """Let Stripe bill what arrives last, and return the customer of an organisation that subscribed at eight."""
    stack.simulator.settings.update({"last_across_windows": "arrival"})
    stack.simulator.clock.set(EIGHT)
    customer_id, _ = stack.subscribe("acme")
    stack.deliver_all()
    return customer_id


def billed(stack: Stack, customer_id: str) -> Any:
    events = stack.simulator.account.meter_events
    return events.aggregate(customer_id, SENSORS, EIGHT.timestamp(), (EIGHT + timedelta(days=30)).timestamp())


def run_at(stack: Stack, moment: datetime) -> None:
    stack.simulator.clock.set(moment)
    stack.meter()


@pytest.mark.parametrize("transport", ["single", "stream"])
def test_hours_that_an_outage_left_are_sent_in_their_order(
    stack: Stack, subscribed: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    for number in range(6):
        stack.simulator.clock.set(EIGHT + number * HOUR + timedelta(minutes=30))
        record_active_sensors("acme", 10 + number, clock.utc_now())
    run_at(stack, EIGHT + 6 * HOUR + timedelta(minutes=5))

    assert billed(stack, subscribed) == 15
    assert stack.due_hours() == []


def test_the_newest_number_follows_one_that_comes_late(stack: Stack, subscribed: str) -> None:
    for number in (0, 3):
        stack.simulator.clock.set(EIGHT + number * HOUR + timedelta(minutes=30))
        record_active_sensors("acme", 10 + number, clock.utc_now())
        run_at(stack, EIGHT + (number + 1) * HOUR + timedelta(minutes=5))
    stack.simulator.clock.set(EIGHT + 5 * HOUR)
    record_active_sensors("acme", 99, EIGHT + HOUR)
    run_at(stack, EIGHT + 5 * HOUR + timedelta(minutes=5))
    run_at(stack, EIGHT + 6 * HOUR + timedelta(minutes=5))

    assert billed(stack, subscribed) == 13
    assert stack.due_hours() == []


@pytest.mark.parametrize("last_number", [13, 0])
@pytest.mark.parametrize("hours_since", [1, 2])
def test_the_newest_number_stands_whatever_it_is(
    stack: Stack, subscribed: str, last_number: int, hours_since: int
) -> None:
    for number, sensors in ((0, 10), (3, last_number)):
        stack.simulator.clock.set(EIGHT + number * HOUR + timedelta(minutes=30))
        record_active_sensors("acme", sensors, clock.utc_now())
        run_at(stack, EIGHT + (number + 1) * HOUR + timedelta(minutes=5))
    stack.simulator.clock.set(EIGHT + (3 + hours_since) * HOUR + timedelta(minutes=10))
    record_active_sensors("acme", 99, EIGHT + HOUR)
    for _ in range(2):
        run_at(stack, clock.utc_now() + timedelta(minutes=5))

    assert billed(stack, subscribed) == last_number
    assert stack.due_hours() == []


@pytest.mark.parametrize("damage", [{"S": "ten"}, {"N": "1E40"}])
def test_a_newest_hour_without_a_number_hides_none(
    stack: Stack, subscribed: str, damage: dict[str, str], dynamodb: DynamoDBClient
) -> None:
    for number in (0, 2):
        stack.simulator.clock.set(EIGHT + number * HOUR + timedelta(minutes=30))
        record_active_sensors("acme", 10 + number, clock.utc_now())
        run_at(stack, EIGHT + (number + 1) * HOUR + timedelta(minutes=5))
    for hours, raw in ((1, {"N": "99"}), (3, damage)):
        put(dynamodb, "UsageTable", [due_hour("acme", start=EIGHT + hours * HOUR) | {SENSORS: raw}])
    run_at(stack, EIGHT + 4 * HOUR + timedelta(minutes=5))
    run_at(stack, EIGHT + 5 * HOUR + timedelta(minutes=5))

    assert billed(stack, subscribed) == 12


BOUNDARY = EIGHT + timedelta(days=20)


@pytest.mark.parametrize(
    ("start", "last_hour", "is_sent_again"),
    [
        (EIGHT, {"active_sensors": {"N": "14"}}, False),  # the last hour is the newest, and comes after the older one
        (EIGHT, {"active_sensors": {"N": "1E40"}}, True),  # no run sends it
        (EIGHT, {"temperature_readings": {"N": "5"}}, True),
        (EIGHT, {"active_sensors": {"N": "14"}, "sending": {"M": {}}}, False),  # it is sent again itself
        (BOUNDARY - 3 * HOUR, {"active_sensors": {"N": "14"}}, True),  # another period's
    ],
)
def test_an_hour_yet_to_come_makes_up_for_it(
    dynamodb: DynamoDBClient, start: datetime, last_hour: dict[str, Any], is_sent_again: bool
) -> None:
    put(dynamodb, "SubscriptionsTable", [link("acme", "cus_1")])
    reported = {"reported": {"M": {SENSORS: {"N": "12"}}}, "version": {"N": "2"}, "revision": {"N": "1"}}
    newest = due_hour("acme", 12, None, start + 2 * HOUR) | reported
    del newest["due_shard"], newest["due_at"]
    last = due_hour("acme", None, None, start + 4 * HOUR) | last_hour
    put(dynamodb, "UsageTable", [newest, last])
    send_newest_again({"acme": clock.format_time(start)}, start + 5 * HOUR + timedelta(minutes=5))

    assert (UsageRecord.of("acme", newest["window_start"]["S"]).due_at is not None) == is_sent_again
    is_last_anew = UsageRecord.of("acme", last["window_start"]["S"]).revision == 1
    assert is_last_anew == ("sending" in last_hour)


def test_a_report_of_this_hour_comes_after_the_hour_before(stack: Stack, subscribed: str) -> None:
    stack.simulator.clock.set(EIGHT + timedelta(minutes=30))
    record_active_sensors("acme", 10, clock.utc_now())
    stack.simulator.clock.set(EIGHT + HOUR + timedelta(minutes=2))
    assert get_stripe_meter_service().report_active_sensors("acme", 20).success
    run_at(stack, EIGHT + HOUR + timedelta(minutes=5))

    assert billed(stack, subscribed) == 20


def test_an_organisations_last_meter_stands_once_in_a_round() -> None:
    class Hour:
        def __init__(self, organization_id: str) -> None:
            self.declaration = self
            self.hour = self
            self.organization_id = organization_id

    class Event:
        def __init__(self, event_name: str) -> None:
            self.event_name = event_name

    events: Any = [
        (Event(name), Hour(organization_id))
        for organization_id in ("acme", "acme", "beta")
        for name in (SENSORS, "temperature_readings")
    ]

    def rounds(events_a_call: int) -> list[list[int]]:
        return [[events.index(pair) for pair in each] for each in in_rounds(events, events_a_call)]

    assert rounds(1) == [[0, 4], [2], [1, 3, 5]]
    assert rounds(3) == [[0, 4, 1], [2, 3, 5]], "what may go anywhere fills calls"
    assert rounds(100) == [[0, 4, 1, 3, 5], [2]]
