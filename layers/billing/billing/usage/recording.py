"""Usage recorded in the hour it belongs to; the next run of metering sends Stripe the hour's total."""

from __future__ import annotations

import math
import uuid
from datetime import datetime
from decimal import Decimal

from billing import clock
from billing.errors import InvalidUsageError
from billing.meters import METERS, Meter
from billing.stripe_limits import FUTURE_USAGE, LARGEST_VALUE
from billing.tables.usage import add_to_hour, set_in_hour

Number = int | float | Decimal


def record_usage(
    organization_id: str, event_name: str, number: Number, at: datetime, *, request_token: str | None = None
) -> None:
    """Record usage of any meter in the UTC hour that `at` lies in.

    The number is added to a `sum` meter; the same `request_token` (a message id, say) again within ten minutes adds
    nothing. It replaces the number of a `last` meter: the one that is recorded last stands. The hour becomes due, also
    where it was reported long ago.

    Raises:
        InvalidUsageError: no such meter, no organisation, no number, an increment that is not above zero, a moment
            without time zone or more than five minutes in the future. Nothing was written.
    """
    is_sum = _meter_named(event_name).formula == "sum"
    whole = whole_number(number)
    if is_sum and whole <= 0:
        raise InvalidUsageError(f"count is {number}; it must be above zero")
    window_start = window_start_of(organization_id, at)
    if is_sum:
        add_to_hour(organization_id, window_start, event_name, whole, request_token or uuid.uuid4().hex)
    else:
        set_in_hour(organization_id, window_start, event_name, whole)


def record_readings(
    organization_id: str, count: Number, taken_at: datetime, *, request_token: str | None = None
) -> None:
    """Add readings to the UTC hour in which they were taken; see `record_usage`."""
    record_usage(organization_id, "temperature_readings", count, taken_at, request_token=request_token)


def record_active_sensors(organization_id: str, count: Number, at: datetime) -> None:
    """Set the number of active sensors of the UTC hour that `at` lies in; see `record_usage`."""
    record_usage(organization_id, "active_sensors", count, at)


def whole_number(number: Number) -> int:
    """Return a count as metering sends it to Stripe: whole, rounded down, not below zero.

    Raises:
        InvalidUsageError: it is no number, or has more than 15 digits.
    """
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal) or not math.isfinite(number):
        raise InvalidUsageError(f"The count is {number!r}; it must be a number")
    whole = max(0, math.floor(number))
    if whole > LARGEST_VALUE:
        raise InvalidUsageError("The count has more than 15 digits, which Stripe refuses")
    return whole


def window_start_of(organization_id: str, moment: datetime) -> str:
    """Return the start of the UTC hour that a moment lies in, as the table has it.

    Raises:
        InvalidUsageError: there is no organisation, no time zone, or the moment lies in the future.
    """
    if not isinstance(organization_id, str) or not organization_id:
        raise InvalidUsageError("The organization_id is empty")
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidUsageError("The time has no time zone; any of 24 hours could be meant")
    if moment > clock.utc_now() + FUTURE_USAGE:
        raise InvalidUsageError(f"The time {clock.format_time(moment)} lies in the future")
    return clock.format_time(clock.hour_of(moment))


def _meter_named(event_name: str) -> Meter:
    for meter in METERS:
        if meter.event_name == event_name:
            return meter
    names = ", ".join(meter.event_name for meter in METERS)
    raise InvalidUsageError(f"There is no meter {event_name!r}; there are: {names}")
