"""An hour remembers what Stripe was told of it before, in the write that replaces it: for whoever disputes a bill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import history, record_active_sensors, record_readings
from billing.history import NEWEST, Entry, History
from billing.tables.usage import UsageRecord, make_unreported_due, refuse_reported

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
EIGHT = "2026-11-23T08:00:00Z"
SENSORS, READINGS = "active_sensors", "temperature_readings"


@pytest.fixture
def told(stack: Stack) -> Stack:
    """Subscribe an organisation, and tell Stripe its hour of 120 readings at 9:05."""
    stack.subscribe("acme")
    stack.deliver_all()
    record_readings("acme", 120, HOUR + timedelta(minutes=1))
    stack.advance(hours=1)
    stack.meter()
    return stack


def correct(stack: Stack, number: int) -> None:
    """Count more readings of the hour, and have Stripe told an hour later."""
    record_readings("acme", number, HOUR + timedelta(minutes=1))
    stack.advance(hours=1)
    stack.meter()


def test_an_hour_that_was_told_once_has_no_history(told: Stack) -> None:
    assert told.usage("acme", EIGHT).history is None


def test_what_stripe_had_is_kept_when_it_is_told_something_else(told: Stack) -> None:
    correct(told, 10)
    correct(told, 5)

    hour = told.usage("acme", EIGHT)
    assert (hour.reported, hour.revision) == ({READINGS: 135}, 3)
    assert history.read(hour.history).entries == (
        Entry("2026-11-23T09:05:00Z", "reported", {READINGS: 120}, 1),
        Entry("2026-11-23T10:05:00Z", "reported", {READINGS: 130}, 2),
    )


@pytest.mark.parametrize("removes", [make_unreported_due, lambda hour: refuse_reported(hour, READINGS, "meter_x: no")])
def test_what_stripe_had_is_kept_when_it_was_found_to_lack_it(told: Stack, removes: Any) -> None:
    assert removes(told.usage("acme", EIGHT))
    record_active_sensors("acme", 4, HOUR)
    told.advance(hours=1)
    told.meter()

    hour = told.usage("acme", EIGHT)
    assert hour.reported == {READINGS: 120, SENSORS: 4}
    assert history.read(hour.history).entries == (Entry("2026-11-23T09:05:00Z", "reported", {READINGS: 120}, 1),)


def test_it_costs_no_write_unit_until_an_hour_was_corrected_often(told: Stack, dynamodb: DynamoDBClient) -> None:
    sizes = [size_of(dynamodb)]
    for _ in range(10):
        correct(told, 1)
        sizes.append(size_of(dynamodb))

    # A write unit is a kilobyte. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    assert sizes[0] < 400
    assert max(sizes[:8]) < 1000, sizes


def size_of(dynamodb: DynamoDBClient) -> int:
    """Return about how many bytes the hour's item takes: its names and values."""
    item: Any = dynamodb.get_item(
        TableName="UsageTable", Key={"organization_id": {"S": "acme"}, "window_start": {"S": EIGHT}}
    )["Item"]

    def size(value: dict[str, Any]) -> int:
        ((kind, content),) = value.items()
        return sum(len(name) + size(each) for name, each in content.items()) + 3 if kind == "M" else len(content)

    return sum(len(name) + size(value) for name, value in item.items())


@pytest.mark.parametrize(
    "damage", [{"S": "nonsense"}, {"S": "[1, 2]"}, {"S": "[[]]"}, {"N": "1"}, {"L": [{"S": "x"}]}, {"S": "[" * 50_000}]
)
def test_a_damaged_history_costs_nothing_but_itself(
    told: Stack, dynamodb: DynamoDBClient, damage: dict[str, Any]
) -> None:
    dynamodb.update_item(
        TableName="UsageTable",
        Key={"organization_id": {"S": "acme"}, "window_start": {"S": EIGHT}},
        UpdateExpression="SET #h = :h",
        ExpressionAttributeNames={"#h": "history"},
        ExpressionAttributeValues={":h": damage},
    )
    correct(told, 10)

    hour = told.usage("acme", EIGHT)
    assert (hour.reported, len(hour.damaged)) == ({READINGS: 130}, 0)
    assert history.read(hour.history).entries == (Entry("2026-11-23T09:05:00Z", "reported", {READINGS: 120}, 1),)


def test_the_first_and_the_newest_are_kept_and_the_others_counted() -> None:
    entries = [Entry(f"2026-11-23T09:{minute:02}:00Z", "reported", {READINGS: minute}, minute) for minute in range(60)]
    text: str | None = None
    for entry in entries:
        text = history.with_entries(text, [entry])

    assert history.read(text) == History((entries[0], *entries[-NEWEST:]), 60 - NEWEST - 1)
    # What comes again adds nothing.
    assert history.read(history.with_entries(text, entries[-3:])) == history.read(text)
    assert UsageRecord("acme", EIGHT, history=text).history == text
