"""Usage recorded in the hour it belongs to; the next run of metering sends Stripe the hour's total."""

from __future__ import annotations

import math
import uuid
from datetime import datetime
from decimal import Decimal

from billing import clock
from billing.clock import format_time, hour_of
from billing.errors import InvalidUsageError
from billing.meters import METERS, Meter
from billing.organizations import check_organization_id
from billing.stripe_limits import FUTURE_USAGE, LARGEST_VALUE, OLDEST_USAGE
from billing.tables.usage_counts import add_to_hour, set_in_hour

Number = int | float | Decimal


def record_usage(
    organization_id: str, event_name: str, number: Number, at: datetime, *, request_token: str | None = None
) -> None:
    """Record usage of any meter in the UTC hour that `at` lies in.

    The number is added to a `sum` meter; the same `request_token` (a message id, say) again within ten minutes adds
    nothing. Of a `last` meter's numbers the one with the latest `at` in the hour stands, in whatever order they come.
    The hour becomes due, also where it was reported long ago.

    Raises:
        InvalidUsageError: no such meter, no organisation's id, no whole number, an increment that is not above zero, a
            number below zero, a moment without time zone, more than five minutes in the future or older than 35 days,
            a `request_token` that came before with another number. Nothing was written.
    """
    meter = _meter_named(event_name)
    whole = _whole_number(number)
    if meter.formula == "sum" and whole <= 0:
        raise InvalidUsageError(f"The count is {number}; an increment must be above zero")
    count_usage(organization_id, meter, whole, at, request_token)


def record_readings(
    organization_id: str, count: Number, taken_at: datetime, *, request_token: str | None = None
) -> None:
    """Add readings to the UTC hour in which they were taken; see `record_usage`."""
    record_usage(organization_id, "temperature_readings", count, taken_at, request_token=request_token)


def record_active_sensors(organization_id: str, count: Number, at: datetime) -> None:
    """Set the number of active sensors of the UTC hour that `at` lies in; see `record_usage`."""
    record_usage(organization_id, "active_sensors", count, at)


def count_usage(organization_id: str, meter: Meter, whole: int, at: datetime, request_token: str | None) -> str:
    """Count a whole number in its hour, as the meter's formula says; return the start of the hour.

    Raises:
        InvalidUsageError: as `record_usage`, of the organisation, the moment and the token; or the hour is damaged.
    """
    check_organization_id(organization_id)
    window_start = format_time(hour_of(_moment(at)))
    if meter.formula == "last":
        set_in_hour(organization_id, window_start, meter.event_name, whole, at)
    else:
        add_to_hour(organization_id, window_start, meter.event_name, whole, request_token or uuid.uuid4().hex)
    return window_start


def floored(number: Number) -> int:
    """Return a number as metering sends it to Stripe: whole, rounded down, not below zero.

    Raises:
        InvalidUsageError: it is no number, or has more than 15 digits.
    """
    whole = max(0, math.floor(_finite(number)))
    if whole > LARGEST_VALUE:
        raise InvalidUsageError("The count has more than 15 digits, which Stripe refuses")
    return whole


def _whole_number(number: Number) -> int:
    whole = floored(number)
    if number != whole:
        raise InvalidUsageError(f"The count is {number}; it must be a whole number, not below zero")
    return whole


def _finite(number: Number) -> Number:
    is_number = isinstance(number, int | float | Decimal) and not isinstance(number, bool)
    # An integer is finite, also one that no float can hold; a signalling NaN raises when it is compared.
    is_finite = is_number and (isinstance(number, int) or Decimal(number).is_finite())
    if not is_finite:
        raise InvalidUsageError(f"The count is {number!r}; it must be a number")
    return number


def _moment(at: datetime) -> datetime:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidUsageError("The time has no time zone; any of 24 hours could be meant")
    now = clock.utc_now()
    if at > now + FUTURE_USAGE:
        raise InvalidUsageError(f"The time {at.isoformat()} lies in the future")
    if at < now - OLDEST_USAGE:
        raise InvalidUsageError(
            f"The time {at.isoformat()} lies more than 35 days back; Stripe takes no usage that old"
        )
    return at


def _meter_named(event_name: str) -> Meter:
    for meter in METERS:
        if meter.event_name == event_name:
            return meter
    names = ", ".join(meter.event_name for meter in METERS)
    raise InvalidUsageError(f"There is no meter {event_name!r}; there are: {names}")
