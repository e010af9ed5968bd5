from __future__ import annotations

import importlib
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import clock, record_active_sensors, record_readings
from billing.meters import METERS
from billing.tables.periods import PeriodRecord, period_key
from billing.tables.usage import UsageRecord
from programs.local.http_api import HttpApi
from programs.local.stack import Stack
from tests.api.conftest import START
from tests.support.due_hours import due_hour, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

USAGE = "/organizations/acme/usage"


def test_subscription_is_a_404_when_there_is_none(stack: Stack, api: HttpApi) -> None:
    response = api.call("GET", "/organizations/acme/subscription")
    assert (response.status, response.body["detail"]) == (404, "The organisation has no subscription")


def test_usage_shows_what_was_counted_reported_due_and_refused(stack: Stack, api: HttpApi) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    record_active_sensors("acme", 5, START)
    record_readings("acme", 100, START)
    stack.advance(hours=1, minutes=5)
    stack.meter()
    record_active_sensors("acme", 4, clock.utc_now())
    record_readings("acme", 10, clock.utc_now())
    # An hour from before the subscription's customer could be billed: it was refused, and says why.
    early = clock.format_time(START - timedelta(hours=2))
    UsageRecord("acme", early, temperature_readings=7, refused="no_customer: No Stripe customer").save()
    # And one whose writer forgot to make it due.
    UsageRecord("acme", clock.format_time(START - timedelta(hours=1)), temperature_readings=1).save()

    response = api.call("GET", USAGE, query={"start": early, "end": "2026-11-23T10:00:00Z"})
    assert response.status == 200
    assert [(hour["window_start"], hour["state"]) for hour in response.body["hours"]] == [
        ("2026-11-23T06:00:00Z", "refused"),
        ("2026-11-23T07:00:00Z", "unreported"),
        ("2026-11-23T08:00:00Z", "reported"),
        ("2026-11-23T09:00:00Z", "due"),
    ]
    refused, _, reported, due = response.body["hours"]
    assert refused["reason"] == "no_customer: No Stripe customer"
    assert reported["counted"] == reported["reported"] == {"active_sensors": 5, "temperature_readings": 100}
    assert reported["reported_at"] == "2026-11-23T09:05:00Z"
    assert (due["counted"], due["reported"]) == ({"active_sensors": 4, "temperature_readings": 10}, {})
    unused = {
        meter.event_name: {"formula": meter.formula, "counted": 0, "reported": 0, "not_sold": 0} for meter in METERS
    }
    assert response.body["totals"] == unused | {
        "active_sensors": {"formula": "last", "counted": 4, "reported": 5, "not_sold": 0},
        "temperature_readings": {"formula": "sum", "counted": 118, "reported": 100, "not_sold": 0},
    }


def test_usage_shows_the_period_of_each_hour_and_what_it_carries(stack: Stack, api: HttpApi) -> None:
    _, subscription_id = stack.subscribe("acme")
    stack.deliver_all()
    UsageRecord("acme", "2026-11-23T07:00:00Z", temperature_readings=1, refused="subscription_not_begun").save()
    late, owed = {"temperature_readings": 9}, {"temperature_readings": 500}
    UsageRecord("acme", "2026-11-23T08:00:00Z", temperature_readings=9, reported={}, late=late, carried=None).save()
    UsageRecord("acme", "2026-11-23T09:00:00Z", carried=owed, reported=owed).save()
    PeriodRecord(
        "acme",
        period_key(subscription_id, START),
        stripe_subscription_id=subscription_id,
        stripe_customer_id="cus_1",
        starts_at=START,
        state="draft",
    ).save()

    body = api.call("GET", USAGE, query={"start": "2026-11-23T07:00:00Z", "end": "2026-11-23T10:00:00Z"}).body

    period = {"starts_at": "2026-11-23T08:00:00Z", "ends_at": "2026-12-23T08:00:00Z", "state": "draft"}
    assert [hour["period"] for hour in body["hours"]] == [None, period, period]
    assert [hour["state"] for hour in body["hours"]] == ["refused", "late", "reported"]
    assert [hour["carried"] for hour in body["hours"]] == [{}, {}, owed]


def test_usage_of_a_meter_that_the_plan_does_not_sell_is_shown_as_not_sold(stack: Stack, api: HttpApi) -> None:
    account = stack.simulator.account
    customer_id = account.customers.create({})["id"]
    items = [{"price": stack.prices["active_sensors"]}]
    named = {"organization_id": "acme"}
    account.subscriptions.create({"customer": customer_id, "items": items, "metadata": named})
    stack.deliver_all()
    record_active_sensors("acme", 5, START)
    record_readings("acme", 100, START)
    stack.advance(hours=1, minutes=5)
    stack.meter()

    body = api.call("GET", USAGE, query={"start": "2026-11-23T08:00:00Z"}).body

    assert (body["hours"][0]["state"], body["hours"][0]["not_sold"]) == ("reported", ["temperature_readings"])
    assert [body["totals"][name]["not_sold"] for name in ("active_sensors", "temperature_readings")] == [0, 100]
    # A price that is added before the period ends bills all of it.
    (subscription,) = account.subscriptions.objects
    account.subscriptions.update(subscription, {"items": [{"price": stack.prices["temperature_readings"]}]})
    stack.deliver_all()
    body = api.call("GET", USAGE, query={"start": "2026-11-23T08:00:00Z"}).body
    assert (body["hours"][0]["not_sold"], body["totals"]["temperature_readings"]["not_sold"]) == ([], 0)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"temperature_readings": {"S": "many"}}, "temperature_readings cannot be read"),
        ({"reported": {"M": {"active_sensors": {"S": "3"}}}}, "reported cannot be read"),
        ({"reported_at": {"S": "yesterday"}, "revision": {"BOOL": True}}, "reported_at, revision cannot be read"),
        ({"window_start": {"S": "2026-11-23T08:30:00Z"}}, "window_start is no UTC hour"),
        ({"window_start": {"S": "2026-11-23T08 o'clock"}}, "window_start is no UTC hour"),
    ],
)
def test_an_hour_that_another_writer_has_damaged_is_shown_beside_the_others(
    stack: Stack, api: HttpApi, dynamodb: DynamoDBClient, damage: dict[str, Any], reason: str
) -> None:
    put(dynamodb, "UsageTable", [due_hour("acme", **damage), due_hour("acme", start=START - timedelta(hours=1))])

    response = api.call("GET", USAGE, query={"start": "2026-11-23T07:00:00Z", "end": "2026-11-23T09:00:00Z"})

    assert response.status == 200
    assert [(hour["state"], hour["reason"]) for hour in response.body["hours"]] == [("due", None), ("damaged", reason)]


def test_usage_comes_in_pages_that_add_up_to_the_range(stack: Stack, api: HttpApi) -> None:
    for hour in range(10):
        UsageRecord("acme", clock.format_time(START + timedelta(hours=hour)), temperature_readings=1).save()
    query = {"start": "2026-11-23T08:00:00Z", "end": "2026-11-23T17:00:00Z", "limit": "4"}
    window_starts: list[str] = []
    pages = 0
    while True:
        response = api.call("GET", USAGE, query=query)
        assert response.body["totals"]["temperature_readings"]["counted"] == 9
        window_starts += [hour["window_start"] for hour in response.body["hours"]]
        pages += 1
        if response.body["next_cursor"] is None:
            break
        query["cursor"] = response.body["next_cursor"]
    assert pages == 3
    assert window_starts == [clock.format_time(START + timedelta(hours=hour)) for hour in range(9)]


@pytest.mark.parametrize(
    "query",
    [
        {"start": "yesterday"},
        {"start": "2026-13-01T00:00:00Z"},
        {"start": "2026-11-23T08:00:00Z", "end": "2026-11-23T08:00:00Z"},
        {"start": "2026-01-01T00:00:00Z", "end": "2026-11-23T08:00:00Z"},
        {"start": "0001-01-01T00:00:00Z", "end": "0001-01-01T01:00:00Z"},
        {"end": "0000-01-01T00:00:00Z"},
        {"limit": "0"},
        {"limit": "many"},
        {"cursor": "x"},
    ],
)
def test_usage_refuses_a_range_that_makes_no_sense(query: dict[str, str], stack: Stack, api: HttpApi) -> None:
    response = api.call("GET", USAGE, query=query)
    assert response.status == 422
    assert response.body["errors"]


def test_usage_without_a_range_is_that_of_the_past_week(stack: Stack, api: HttpApi) -> None:
    response = api.call("GET", USAGE)
    assert (response.body["start"], response.body["end"]) == ("2026-11-16T08:00:00Z", "2026-11-23T08:00:00Z")
    assert response.body["hours"] == []


def test_reading_imports_no_stripe(stack: Stack) -> None:
    program = """
import sys
from programs.local.http_api import HttpApi
statuses = [HttpApi().call("GET", f"/organizations/acme/{path}").status for path in ("usage", "subscription")]
print(statuses, "stripe" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "POWERTOOLS_LOG_LEVEL": "CRITICAL"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)

    assert run.stdout.splitlines()[-1] == "[200, 404] False"


def test_a_failure_of_dynamodb_is_a_503(stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import EndpointConnectionError

    def unreachable(*args: object, **kwargs: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://dynamodb")

    monkeypatch.setattr(UsageRecord, "query", unreachable)
    response = api.call("GET", USAGE)
    assert (response.status, response.headers["Retry-After"]) == (503, "5")


def test_a_defect_is_a_500_that_tells_nothing_and_is_counted(
    stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(UsageRecord, "query", broken)
    response = api.call("GET", USAGE)
    assert response.status == 500
    assert response.body.pop("request_id")
    assert response.body == {"title": "Something is wrong on our side", "status": 500, "detail": "It has been noted"}
    log = capsys.readouterr().out
    assert '"api_errors":[1.0]' in log
    assert '"status":"500"' in log


@pytest.mark.parametrize(
    ("content_type", "body", "is_base64", "status"),
    [
        ("application/x-www-form-urlencoded", "return_url=https%3A%2F%2Fapp.example.com", False, 415),
        ("multipart/form-data", "x", False, 415),
        ("application/json; charset=utf-8", "x", False, 422),
        ("application/json", "[{}]", False, 422),
        ("application/json", "=", True, 400),
        ("application/json", "/w==", True, 400),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    content_type: str, body: str, is_base64: bool, status: int, api: HttpApi
) -> None:
    event = api.event("POST", "/organizations/acme/portal-sessions", body, {}, {"content-type": content_type})
    response = importlib.import_module("functions.billing_api.app").handler(
        {**event, "isBase64Encoded": is_base64}, None
    )
    assert response["statusCode"] == status
    assert response["headers"]["Content-Type"] == "application/problem+json"
