from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from billing import clock, record_active_sensors, record_readings, record_usage
from billing.errors import InvalidUsageError
from billing.meters import METERS, Meter
from billing.stripe_limits import LARGEST_VALUE
from billing.tables.table import is_transient
from billing.tables.usage import UsageRecord, end_of, shard_of
from programs.local.stack import Stack
from tests.support.calls import hook
from tests.support.due_hours import due_hour, put
from tests.support.faults import NoResponse
from tests.support.imports import modules_after

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
EIGHT = "2026-11-23T08:00:00Z"

NO_NUMBERS = [
    True,
    None,
    "5",
    float("nan"),
    float("inf"),
    Decimal("Infinity"),
    Decimal("sNaN"),
    10**15,
    10**400,
    12.7,
    Decimal("0.5"),
]


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("from billing import record_readings, record_active_sensors, record_usage", "billing.usage.recording"),
        ("from billing.usage.reading import totals, usage_between", "billing.usage.reading"),
    ],
)
def test_usage_imports_neither_stripe_nor_metering(statement: str, module: str) -> None:
    modules = modules_after(statement)

    assert module in modules
    assert not [name for name in modules if name.split(".")[0] in ("stripe", "requests", "pydantic", "boto3")]
    assert not [name for name in modules if name.startswith(("billing.metering", "billing.stripe_gateway"))]


def test_importing_the_package_imports_no_table() -> None:
    assert not [
        name for name in modules_after("import billing") if name.startswith(("billing.", "pynamodb", "botocore"))
    ]


@pytest.mark.parametrize("meter", METERS, ids=lambda meter: meter.event_name)
def test_any_meter_is_recorded_by_its_formula(stack: Stack, meter: Meter) -> None:
    record_usage("acme", meter.event_name, 7, HOUR)
    record_usage("acme", meter.event_name, 5, HOUR + timedelta(minutes=4))

    hour = stack.usage("acme", EIGHT)
    assert hour.counted(meter.event_name) == (12 if meter.formula == "sum" else 5)
    assert (hour.due_shard, hour.due_at) == (shard_of("acme"), end_of(EIGHT))


def test_the_same_readings_are_counted_once_when_their_request_token_comes_twice(stack: Stack) -> None:
    for _ in range(2):
        record_readings("acme", 10, HOUR, request_token="first")
    record_readings("acme", 10, HOUR, request_token="second")

    assert stack.usage("acme", EIGHT).temperature_readings == 20


@pytest.mark.parametrize(("minutes", "counted"), [(9, 10), (11, 20)])
def test_a_request_token_is_remembered_for_ten_minutes(stack: Stack, minutes: int, counted: int) -> None:
    record_readings("acme", 10, HOUR, request_token="message")
    stack.advance(minutes=minutes)
    record_readings("acme", 10, HOUR, request_token="message")

    assert stack.usage("acme", EIGHT).temperature_readings == counted


def test_a_write_without_a_response_raises_what_a_later_attempt_cures(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = hook(monkeypatch)
    with calls.watched(lambda number, call: NoResponse(has_effect=True)), pytest.raises(ReadTimeoutError) as raised:
        record_active_sensors("acme", 3, HOUR)

    assert is_transient(raised.value)


def test_one_request_token_is_of_one_organisation_and_hour(stack: Stack) -> None:
    for organization_id in ("acme", "globex"):
        for moment in (HOUR, HOUR - timedelta(hours=1)):
            record_readings(organization_id, 10, moment, request_token="message")

    assert [hour.temperature_readings for hour in UsageRecord.scan()] == [10] * 4


def test_late_usage_goes_to_the_hour_it_belongs_to(stack: Stack) -> None:
    late = HOUR - timedelta(days=3, minutes=1)
    record_readings("acme", 4, late)
    record_active_sensors("acme", 2, late)

    hour = stack.usage("acme", "2026-11-20T07:00:00Z")
    assert (hour.temperature_readings, hour.active_sensors) == (4, 2)
    assert hour.due_at == "2026-11-20T08:00:00Z"


def test_usage_of_a_clock_that_is_five_minutes_fast_is_recorded(stack: Stack) -> None:
    record_readings("acme", 4, HOUR + timedelta(minutes=10))

    assert stack.usage("acme", EIGHT).temperature_readings == 4


def test_of_a_last_meters_numbers_the_one_with_the_latest_moment_stands(stack: Stack) -> None:
    for minute, sensors in ((5, 6), (9, 7), (2, 5), (9, 8)):
        record_active_sensors("acme", sensors, HOUR + timedelta(minutes=minute))

    hour = stack.usage("acme", EIGHT)
    assert hour.active_sensors == 8, "of two that were true in the same second the one that is recorded last"
    record_active_sensors("acme", 1, HOUR + timedelta(minutes=8))
    assert stack.usage("acme", EIGHT).active_sensors == 8


@pytest.mark.parametrize("damage", [{"N": "5"}, {"BOOL": True}])
def test_a_moment_that_another_writer_has_damaged_is_none(
    stack: Stack, dynamodb: DynamoDBClient, damage: dict[str, Any]
) -> None:
    put(dynamodb, "UsageTable", [due_hour("acme", active_sensors_at=damage)])

    record_active_sensors("acme", 9, HOUR)

    assert stack.usage("acme", EIGHT).active_sensors == 9


def test_readings_are_not_added_to_what_is_no_number(stack: Stack, dynamodb: DynamoDBClient) -> None:
    put(dynamodb, "UsageTable", [due_hour("acme", readings=None, temperature_readings={"S": "many"})])

    with pytest.raises(InvalidUsageError, match="acme is damaged: its temperature_readings is no number"):
        record_readings("acme", 5, HOUR)


def test_readings_are_not_added_to_a_sum_that_would_be_longer_than_stripe_takes(stack: Stack) -> None:
    record_readings("acme", LARGEST_VALUE, HOUR)

    with pytest.raises(InvalidUsageError, match="would have more than 15 digits of temperature_readings"):
        record_readings("acme", 1, HOUR)
    assert stack.usage("acme", EIGHT).temperature_readings == LARGEST_VALUE


def test_a_request_token_with_another_number_is_refused_in_words(stack: Stack) -> None:
    record_readings("acme", 10, HOUR, request_token="message")

    with pytest.raises(InvalidUsageError, match="request_token came before with another number"):
        record_readings("acme", 11, HOUR, request_token="message")
    assert stack.usage("acme", EIGHT).temperature_readings == 10


def test_a_whole_number_may_be_of_any_type(stack: Stack) -> None:
    for count in (10, 10.0, Decimal("1E+1")):
        record_readings("acme", count, HOUR)

    assert stack.usage("acme", EIGHT).temperature_readings == 30


def test_a_number_of_active_sensors_may_be_zero(stack: Stack) -> None:
    record_active_sensors("acme", 7, HOUR)
    record_active_sensors("acme", 0, HOUR)

    assert stack.usage("acme", EIGHT).active_sensors == 0


# From here on there is no table: where anything were written, another error would be raised.


def test_a_meter_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(InvalidUsageError, match="no meter 'temperature_reading'; there are: active_sensors, "):
        record_usage("acme", "temperature_reading", 1, clock.utc_now())


@pytest.mark.parametrize("number", [*NO_NUMBERS, 0, -3, 0.4], ids=repr)
def test_an_increment_is_refused_when_it_is_no_number_above_zero(number: Any) -> None:
    with pytest.raises(InvalidUsageError, match="count"):
        record_readings("acme", number, clock.utc_now())


@pytest.mark.parametrize("number", [*NO_NUMBERS, -3], ids=repr)
def test_a_number_of_a_last_meter_is_refused_when_it_is_none(number: Any) -> None:
    with pytest.raises(InvalidUsageError, match="count"):
        record_active_sensors("acme", number, clock.utc_now())


@pytest.mark.parametrize("record", [record_readings, record_active_sensors], ids=lambda function: function.__name__)
def test_usage_is_refused_when_its_hour_is_unknown_or_yet_to_come(record: Callable[..., None]) -> None:
    now = clock.utc_now()
    ever = datetime.min.replace(tzinfo=UTC)
    for moment in (
        now.replace(tzinfo=None),
        now + timedelta(minutes=6),
        now - timedelta(days=35, minutes=1),
        ever,
        now.timestamp(),
        EIGHT,
        None,
    ):
        with pytest.raises(InvalidUsageError, match="time"):
            record("acme", 1, moment)


@pytest.mark.parametrize("record", [record_readings, record_active_sensors], ids=lambda function: function.__name__)
def test_usage_is_refused_when_it_has_no_organisation(record: Callable[..., None]) -> None:
    for organization_id in ("", None, 7, "a/b", ".acme", "x" * 201, "acme\n"):
        with pytest.raises(InvalidUsageError, match="organization_id"):
            record(organization_id, 1, clock.utc_now())
