"""Usage for other code on the layer: recorded, and reported to Stripe at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from billing import clock
from billing.errors import BillingError, InvalidUsageError
from billing.metering.hour import Key
from billing.metering.invocation import check_run_meters, new_run
from billing.meters import METERS
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.tables.usage import UsageRecord
from billing.usage.recording import Number, count_usage, floored

# A meter's formula and window cannot be changed; it can be deactivated and made anew.
METERS_CHECKED_FOR_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ReportResult:
    """What came of a report.

    `success`: Stripe has accepted the number; `error` says why not, and is None where it has. `recorded`: the number is
    in the hour's item, so that the next run reports it where Stripe was not told of it now.
    """

    success: bool
    error: str | None = None
    recorded: bool = True


class StripeMeterService:
    """The hour's totals of an organisation, recorded and reported to Stripe at once.

    Every method returns a `ReportResult` and never raises for what Stripe or the data did. What could not be reported
    now stays due, and the next run reports it. A failure of DynamoDB is raised: then nothing is known to be recorded.
    """

    def __init__(self, gateway: StripeGateway | None = None) -> None:
        self._gateway = gateway
        self._meters_checked_until = 0.0

    def report_active_sensors(self, organization_id: str, sensor_count: Number) -> ReportResult:
        """Report the number of active sensors of the current UTC hour."""
        return self.report_active_sensors_with_timestamp(organization_id, sensor_count, clock.utc_now())

    def report_reading_volume(
        self, organization_id: str, reading_count: Number, *, request_token: str | None = None
    ) -> ReportResult:
        """Add readings to the current UTC hour and report its total: 10 and then 10 are 20.

        The same `request_token` again within ten minutes adds nothing; without one, a repetition counts again.
        """
        return self._report(organization_id, "temperature_readings", reading_count, clock.utc_now(), request_token)

    def report_active_sensors_with_timestamp(
        self, organization_id: str, sensor_count: Number, timestamp: datetime | float
    ) -> ReportResult:
        """Report the number of active sensors of the UTC hour that `timestamp` (or Unix seconds) lies in.

        The number with the latest timestamp of the hour stands: one that comes late is not recorded over it.
        """
        return self._report(organization_id, "active_sensors", sensor_count, timestamp)

    def _report(
        self,
        organization_id: str,
        event_name: str,
        number: Number,
        timestamp: datetime | float,
        request_token: str | None = None,
    ) -> ReportResult:
        meter = next(meter for meter in METERS if meter.event_name == event_name)
        try:
            window_start = count_usage(organization_id, meter, floored(number), _moment(timestamp), request_token)
        except BillingError as error:
            return ReportResult(success=False, error=str(error), recorded=False)
        try:
            return self._send((organization_id, window_start))
        except BillingError as error:
            return ReportResult(success=False, error=str(error))

    def _send(self, key: Key) -> ReportResult:
        """Take one hour through the same steps as a run does."""
        gateway = self._gateway or stripe_gateway()
        if time.monotonic() > self._meters_checked_until:
            check_run_meters(gateway)
            self._meters_checked_until = time.monotonic() + METERS_CHECKED_FOR_SECONDS
        with ThreadPoolExecutor(2, "report") as executor:
            # The hour before first, where it is still due: the newest number is to reach Stripe last.
            new_run(gateway, executor).process([(key[0], _hour_before(key[1]))])
            summary = new_run(gateway, executor).process([key])
        if summary.settled or summary.accepted:
            return ReportResult(success=True)
        hour = UsageRecord.get(*key, consistent_read=True)
        if hour.refused:
            return ReportResult(success=False, error=str(hour.refused).partition(": ")[2])
        if not hour.due_at:
            # A run came first, and has told Stripe this number.
            return ReportResult(success=True)
        return ReportResult(success=False, error=summary.last_problem or "The hour is being reported by another sender")


@cache
def get_stripe_meter_service() -> StripeMeterService:
    """Return the process's only service; Stripe's client is made at its first report."""
    return StripeMeterService()


def _hour_before(window_start: str) -> str:
    return clock.format_time(clock.parse_time(window_start) - clock.HOUR)


def _moment(timestamp: datetime | float) -> datetime:
    if isinstance(timestamp, datetime):
        return timestamp
    try:
        if isinstance(timestamp, bool):
            raise TypeError
        return clock.from_unix(timestamp)
    except (TypeError, ValueError, OverflowError, OSError):
        raise InvalidUsageError(f"The time is {timestamp!r}; it must be a datetime or Unix seconds") from None
