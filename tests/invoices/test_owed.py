"""What is owed is carried once, changes while it can, and is never guessed from what cannot be read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import clock
from billing.clock import HOUR, format_time
from billing.invoices.closing import write_balance
from billing.invoices.storage import read_periods
from billing.stripe_gateway.calls import stripe_gateway
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord, hours_between
from billing.webhooks.linking import refresh_organization
from tests.invoices.lives import BEGIN, MONTH_1, MONTH_2, MONTH_4, READINGS, Life, late_life, set_count

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack


@pytest.fixture
def late(stack: Stack) -> Life:
    """Return a life of 360 readings that are invoiced and 500 that came later."""
    return late_life(stack, MONTH_1 + 8 * HOUR)


def carried(life: Life) -> dict[str, Any]:
    return {hour.window_start: dict(hour.carried) for hour in hours_of(life) if hour.carried}


def hours_of(life: Life) -> list[UsageRecord]:
    return list(hours_between(life.organization_id, BEGIN - HOUR, MONTH_2 + 100 * HOUR))


def test_it_is_carried_in_the_first_whole_hour_of_the_open_period_and_explained(late: Life) -> None:
    assert carried(late) == {format_time(MONTH_1): {READINGS: 500}}
    closed, opened = read_periods("acme")
    assert opened.carried == {format_time(MONTH_1): {READINGS: 500}}
    (line,) = opened.carried_why
    assert line.startswith(f"{READINGS} from {format_time(BEGIN)} to {format_time(MONTH_1)}: 860 counted, 360 on in_")
    assert format_time(BEGIN + 30 * HOUR) in line
    assert closed.told == {}


def test_it_follows_what_is_counted_while_the_period_is_open(late: Life) -> None:
    late.count(11, BEGIN + 31 * HOUR)
    late.go_to(MONTH_1 + 10 * HOUR)
    assert carried(late) == {format_time(MONTH_1): {READINGS: 511}}
    set_count(100, BEGIN + 30 * HOUR)
    late.go_to(MONTH_1 + 12 * HOUR)
    assert carried(late) == {format_time(MONTH_1): {READINGS: 111}}
    late.go_to(MONTH_2 + 6 * HOUR)

    assert late.invoiced() == 360 + 111


def test_it_is_only_told_where_nothing_is_to_be_carried(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATE_USAGE", "tell")
    life = late_life(stack, MONTH_2 + 6 * HOUR)

    assert life.invoiced() == 360
    assert read_periods("acme")[0].told == {"not_carried": {READINGS: 500}}


def test_what_was_carried_is_taken_back_where_it_is_to_be_told_from_now_on(
    late: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATE_USAGE", "tell")
    write_balance("acme", clock.utc_now())
    late.go_to(MONTH_1 + 10 * HOUR)
    late.go_to(MONTH_2 + 6 * HOUR)

    assert late.invoiced() == 360
    assert read_periods("acme")[0].told == {"not_carried": {READINGS: 500}}


def test_what_an_ended_subscription_owes_is_on_the_next_ones_invoice_once(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.count(360, BEGIN)
    stack.simulator.account.subscriptions.update(life.subscription_id, {"cancel_at_period_end": "true"})
    life.go_to(MONTH_1 + 6 * HOUR)
    life.count(500, BEGIN + 30 * HOUR)
    life.go_to(MONTH_1 + 8 * HOUR)
    assert read_periods("acme")[0].told == {"not_carried": {READINGS: 500}}
    life.subscribe(customer=life.customer_id)
    life.go_to(MONTH_2 + 20 * HOUR)
    assert life.invoiced() == 860
    life.go_to(MONTH_4)

    assert life.invoiced() == 860
    assert [period.told for period in read_periods("acme") if period.told] == []


def test_a_record_that_is_lost_and_fetched_anew_knows_the_periods_gone_by(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    for renewal in (MONTH_1, MONTH_2):
        life.go_to(renewal - 5 * HOUR)
        life.count_hourly(100, 4)
        life.sensors(7, renewal - 3 * HOUR)
    life.go_to(MONTH_2 + timedelta(minutes=10))
    SubscriptionRecord("acme").update(actions=[SubscriptionRecord.metered_subscriptions.remove()])
    refresh_organization(stripe_gateway(), "acme", ())
    life.go_to(MONTH_2 + 100 * HOUR)

    assert life.invoiced() == life.counted
    states = [(period.span.starts_at, period.state, period.told) for period in read_periods("acme")]
    assert states == [(BEGIN, "closed", {}), (MONTH_1, "closed", {})]


def test_what_was_invoiced_and_is_no_longer_counted_is_told(stack: Stack) -> None:
    life = Life(stack, BEGIN)
    life.count(360, BEGIN)
    life.go_to(MONTH_1 + 6 * HOUR)
    set_count(300, BEGIN)
    life.go_to(MONTH_1 + 8 * HOUR)

    assert read_periods("acme")[0].told == {"too_much": {READINGS: 60}}
    assert carried(life) == {}


def test_a_voided_invoice_is_told_with_its_quantity_and_not_carried(late: Life) -> None:
    invoices = late.stack.simulator.account.invoices
    (invoice_id,) = invoices.objects
    invoices.objects[invoice_id]["status"] = "open"
    invoices.void(invoice_id)
    late.go_to(MONTH_1 + 10 * HOUR)

    (period, *_) = read_periods("acme")
    assert (period.state, period.told) == ("not_invoiced", {"not_invoiced": {READINGS: 860}})
    assert carried(late) in ({}, {format_time(MONTH_1): {READINGS: 0}})


@pytest.mark.parametrize("attribute", ["invoices", "counted", "carried", "state", "stripe_customer_id", "ends_at"])
def test_a_period_that_cannot_be_read_carries_nothing_more(
    late: Life, dynamodb: DynamoDBClient, attribute: str
) -> None:
    before = carried(late)
    for period in read_periods("acme"):
        key = f"{period.span.subscription_id} {format_time(period.span.starts_at)}"
        dynamodb.update_item(
            TableName="PeriodsTable",
            Key={"organization_id": {"S": "acme"}, "period": {"S": key}},
            UpdateExpression="SET #name = :nonsense",
            ExpressionAttributeNames={"#name": attribute},
            ExpressionAttributeValues={":nonsense": {"N": "7"}},
        )
    write_balance("acme", clock.utc_now())
    late.count(9, BEGIN + 33 * HOUR)
    late.go_to(MONTH_1 + 9 * HOUR)

    assert carried(late) == before


def test_a_damaged_period_is_made_good_by_the_daily_comparison(late: Life, dynamodb: DynamoDBClient) -> None:
    (closed, _) = read_periods("acme")
    key = f"{closed.span.subscription_id} {format_time(closed.span.starts_at)}"
    dynamodb.update_item(
        TableName="PeriodsTable",
        Key={"organization_id": {"S": "acme"}, "period": {"S": key}},
        UpdateExpression="SET invoices = :nonsense",
        ExpressionAttributeValues={":nonsense": {"S": "{"}},
    )
    late.go_to(MONTH_1 + timedelta(days=1))

    (again, _) = read_periods("acme")
    assert again.invoices == closed.invoices
    assert carried(late) == {format_time(MONTH_1): {READINGS: 500}}
