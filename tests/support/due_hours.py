"""Usage in bulk: many due hours, written as a writer would leave them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from billing.clock import format_time
from billing.metered_subscriptions import MeteredSubscription, to_text
from billing.meters import METERS
from billing.tables.usage import end_of, shard_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)


def due_hour(
    organization_id: str, sensors: int | None = 3, readings: int | None = 120, start: datetime = HOUR, **more: Any
) -> dict[str, Any]:
    """Return the item of a due hour; `more` are raw attributes."""
    window_start = format_time(start)
    counts = {"active_sensors": sensors, "temperature_readings": readings}
    return {
        "organization_id": {"S": organization_id},
        "window_start": {"S": window_start},
        "due_shard": {"N": str(shard_of(organization_id))},
        "due_at": {"S": end_of(window_start)},
        **{name: {"N": str(number)} for name, number in counts.items() if number is not None},
        **more,
    }


def link(organization_id: str, customer_id: str) -> dict[str, Any]:
    """Return the item of an organisation's record, subscribed to all meters for a year."""
    meters = tuple(meter.event_name for meter in METERS)
    started_at = HOUR - timedelta(days=365)
    period_starts = (HOUR - timedelta(days=10), HOUR + timedelta(days=20))
    subscription = MeteredSubscription(f"sub_{organization_id}", customer_id, started_at, None, meters, period_starts)
    return {
        "organization_id": {"S": organization_id},
        "stripe_customer_id": {"S": customer_id},
        "metered_subscriptions": {"S": to_text([subscription])},
        "version": {"N": "1"},
    }


def put(dynamodb: DynamoDBClient, table: str, items: Sequence[dict[str, Any]]) -> None:
    """Write items, many."""

    def write(start: int) -> None:
        puts: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        dynamodb.batch_write_item(RequestItems={table: puts})

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(write, range(0, len(items), 25)))


def subscribed(stack: Stack, dynamodb: DynamoDBClient, organization_ids: Iterable[str]) -> None:
    """Give each organisation a customer, at Stripe and in its record."""
    links = []
    for organization_id in organization_ids:
        customer_id = stack.simulator.account.customers.create({})["id"]
        stack.customers[organization_id] = {customer_id}
        links.append(link(organization_id, customer_id))
    put(dynamodb, "SubscriptionsTable", links)
