"""One organisation's hour, and what becomes of it while several processes are at work on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from billing import clock, get_stripe_meter_service
from billing.comparison_requests import ComparisonRequest
from billing.metering.invocation import process_shards
from billing.reconciliation.invocation import carry_out
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

    def __init__(
        self, stack: Stack, dynamodb: DynamoDBClient, interleaving: Interleaving, organization_id: str = "acme"
    ) -> None:
        self.stack, self._dynamodb, self._interleaving = stack, dynamodb, interleaving
        self._organization_id = organization_id
        subscribed(stack, dynamodb, [organization_id])

    def count(self, **counts: int) -> None:
        """Write counts of the hour, as a writer in any language would."""
        names = ", ".join(f"{name} = :{name}" for name in counts)
        item = due_hour(self._organization_id, start=HOUR)
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
        return self._interleaving.start(lambda: process_shards([shard_of(self._organization_id)], clock.utc_now()))

    def report(self, sensors: int) -> Process:
        """Start a report of the number of sensors by the service; it stands before its first call."""
        service = get_stripe_meter_service()
        return self._interleaving.start(
            lambda: service.report_active_sensors_with_timestamp(self._organization_id, sensors, HOUR.timestamp())
        )

    def compare(self) -> Process:
        """Start a comparison of the hour with what Stripe counts; it stands before its first call."""
        return self._interleaving.start(lambda: carry_out(ComparisonRequest(HOUR, HOUR + clock.HOUR)))

    @property
    def item(self) -> UsageRecord:
        return UsageRecord.get(self._organization_id, clock.format_time(HOUR), consistent_read=True)

    def at_stripe(self, event_name: str) -> int:
        (customer_id,) = self.stack.customers[self._organization_id]
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
