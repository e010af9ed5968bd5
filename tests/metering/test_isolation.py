"""A thousand organisations of which ten are each broken in their own way: the others are billed in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing.clock import format_time
from billing.metering import writes
from tests.support.due_hours import HOUR, due_hour, link, put, subscribed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

HEALTHY = 990
LONG = "long-" + "x" * 1_500


BROKEN_LINKS = [
    link("unknown-at-stripe", "cus_of_another_account"),
    link("damaged-link", "cus_damaged") | {"metered_subscriptions": {"S": "all of them"}},
]
BROKEN_HOURS = [
    due_hour("deleted"),
    due_hour("absurd", 10**20),
    due_hour(LONG),
    due_hour("old", start=HOUR - timedelta(days=35)),
    due_hour("word", None, active_sensors={"S": "three"}),
    due_hour("half-hour") | {"window_start": {"S": "2026-11-23T08:30:00Z"}},
    due_hour("mistyped", revision={"S": "one"}),
    due_hour("unknown-at-stripe"),
    due_hour("damaged-link"),
    due_hour("nobody"),
]


@pytest.mark.parametrize("transport", ["single", "stream"])
def test_the_other_990_are_billed_when_ten_of_1000_organisations_are_broken(
    stack: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    healthy = [f"healthy-{number}" for number in range(HEALTHY)]
    subscribed(stack, dynamodb, [*healthy, "deleted", "absurd", LONG, "old", "word", "half-hour", "mistyped"])
    (deleted,) = stack.customers["deleted"]
    stack.simulator.account.customers.delete(deleted)
    put(dynamodb, "SubscriptionsTable", BROKEN_LINKS)
    put(dynamodb, "UsageTable", [*map(due_hour, healthy), *BROKEN_HOURS])
    stack.advance(hours=1)

    summary = stack.meter()

    by_stripe = {"no_such_customer": 2} if transport == "single" else {}
    assert summary["refused"] == {"invalid_usage": 3, "too_old": 1, "no_customer": 1} | by_stripe
    # The over-long id is billed too; the stream refuses customers later, by error report.
    assert summary["settled"] == HEALTHY + (1 if transport == "single" else 3)
    assert (summary["failures"], summary["left"]) == (2, 2)
    hour = int(HOUR.timestamp())
    for name in (*healthy, LONG):
        (customer_id,) = stack.customers[name]
        for meter, counted in (("active_sensors", 3), ("temperature_readings", 120)):
            assert stack.simulator.account.hourly(customer_id, meter) == {hour: counted}
    due = [item["organization_id"]["S"] for item in scan(dynamodb) if "due_at" in item]
    assert sorted(due) == ["damaged-link", "mistyped"]
    refused = {item["organization_id"]["S"]: item["refused"]["S"] for item in scan(dynamodb) if "refused" in item}
    assert refused["old"].startswith("too_old: ")
    assert "15 digits" in refused["absurd"]
    assert "half-hour" in refused
    assert refused["nobody"] == "no_customer: No Stripe customer for organization"


def scan(dynamodb: DynamoDBClient) -> list[dict[str, Any]]:
    pages = dynamodb.get_paginator("scan").paginate(TableName="UsageTable", ConsistentRead=True)
    return [dict(item) for page in pages for item in page["Items"]]


def test_the_other_hours_are_settled_when_dynamodb_refuses_one_write(stack: Stack, dynamodb: DynamoDBClient) -> None:
    subscribed(stack, dynamodb, ["healthy", "full"])
    # DynamoDB takes at most 400 KB an item: there is no room for metering's attributes.
    items = [due_hour("healthy"), due_hour("full", notes={"S": "x" * (400 * 1024 - 200)})]
    put(dynamodb, "UsageTable", items)
    stack.advance(hours=1)

    summary = stack.meter()

    assert summary["settled"] == 1
    assert summary["failures"] == 1
    assert stack.due_hours() == [("full", format_time(HOUR))]


def test_the_other_hours_are_settled_when_dynamodb_refuses_one_settlement(
    stack: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed(stack, dynamodb, ["healthy", "odd"])
    put(dynamodb, "UsageTable", [due_hour("healthy"), due_hour("odd")])
    stack.advance(hours=1)
    real = writes.write

    def write(updates: Sequence[writes.Write]) -> list[str]:
        odd = ["odd" in each.key and 'SET "reported"=' in each.statement["Statement"] for each in updates]
        codes = iter(real([each for each, is_odd in zip(updates, odd, strict=True) if not is_odd]))
        return ["ValidationError" if is_odd else next(codes) for is_odd in odd]

    monkeypatch.setattr(writes, "write", write)
    summary = stack.meter()

    assert (summary["settled"], summary["failures"], summary["left"]) == (1, 1, 1)
    assert stack.due_hours() == [("odd", format_time(HOUR))]
