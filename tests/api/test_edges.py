"""What is wrong with a request is said, and what the API prints can be sent back to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from billing import clock, record_readings, telemetry
from billing.tables.usage import UsageRecord
from functions.billing_api import app
from programs.local.http_api import HttpApi
from programs.local.stack import Stack
from tests.invoices.lives import BEGIN, MONTH_1, Life

GET_OPERATIONS = ("subscription", "usage", "invoices", "invoices/in_1")
OPERATIONS = [
    *(("GET", name, None) for name in GET_OPERATIONS),
    ("DELETE", "subscription/cancellation", None),
    ("POST", "subscription/cancellation", {"at": "period_end"}),
    ("POST", "portal-sessions", {"return_url": "https://app.example.com/"}),
]
KNOWN = {"usage": "start, end, limit, cursor", "invoices": "limit, cursor", "invoices/in_1": "limit, cursor"}


def times_in(value: Any) -> Iterator[str]:
    """Yield every text of a response that is a time."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from times_in(key)
            yield from times_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from times_in(item)
    elif isinstance(value, str) and value[:2] == "20" and value[10:11] == "T":
        yield value


@pytest.mark.parametrize(("method", "operation", "body"), OPERATIONS)
def test_a_parameter_that_an_operation_does_not_have_is_named(
    method: str, operation: str, body: Any, stack: Stack, api: HttpApi
) -> None:
    response = api.call(method, f"/organizations/acme/{operation}", body, query={"form": "2026-11-23T08:00:00Z"})
    assert response.status == 422
    takes = f"takes {KNOWN[operation]}" if operation in KNOWN else "takes none"
    message = f"There is no such parameter: the operation {takes}"
    assert response.body["errors"] == [{"field": "query.form", "message": message}]
    assert stack.simulator.requests.total == 0


@pytest.mark.parametrize("operation", GET_OPERATIONS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_that_nobody_reads_is_refused(method: str, operation: str, stack: Stack, api: HttpApi) -> None:
    path = "subscription/cancellation" if method == "DELETE" else operation
    response = api.call(method, f"/organizations/acme/{path}", {"limit": 1})
    assert (response.status, response.body["detail"]) == (400, f"{method} takes no body: send none")


@pytest.mark.parametrize("name", ["start", "end"])
@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-11-23",
        "2026-11-23T08:00:00",
        "2026-11-23T08:00:00+01:00",
        "2026-11-23T08:00:00.5Z",
        "2026-13-23T08:00:00Z",
        "2026-02-30T08:00:00Z",
        "1700000000",
        "",
    ],
)
def test_a_time_that_is_none_gets_the_rule_with_an_example(name: str, text: str, stack: Stack, api: HttpApi) -> None:
    response = api.call("GET", "/organizations/acme/usage", query={name: text})
    assert response.status == 422
    (error,) = response.body["errors"]
    assert error["field"] in (name, f"query.{name}")
    assert error["message"] == 'Must be a time in UTC, in whole seconds, like "2026-11-23T08:00:00Z"'


def test_every_problem_names_the_request_as_the_logs_do(
    stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for status, event in (
        (404, api.event("GET", "/organizations/acme/subscription", None, {}, {})),
        (404, api.event("GET", "/organizations/acme/nothing", None, {}, {})),
        (422, api.event("GET", "/organizations/acme/usage", None, {"limit": "x"}, {})),
        (403, api.event("GET", "/organizations/acme/usage", None, {}, {}, {})),
        (415, api.event("POST", "/organizations/acme/portal-sessions", "a=b", {}, form)),
    ):
        log = StringIO()
        for handler in telemetry.logger.handlers:
            monkeypatch.setattr(handler, "stream", log)
        response = app.handler(event, None)
        request_id = event["requestContext"]["requestId"]
        assert (response["statusCode"], json.loads(response["body"])["request_id"]) == (status, request_id)
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        assert {line["request_id"] for line in lines} == {request_id}
        assert lines[-1]["message"] == "API request"


def test_a_response_that_is_no_problem_is_as_it_was(stack: Stack, api: HttpApi) -> None:
    assert "request_id" not in api.call("GET", "/organizations/acme/usage").body


@pytest.fixture
def a_little_later(stack: Stack) -> Iterator[Callable[[timedelta], None]]:
    """Return what stops the clock a part of a second later: real ones do not stop at whole seconds."""
    before = clock.utc_now

    def stop(later: timedelta) -> None:
        now = before() + later
        clock.utc_now = lambda: now

    yield stop
    clock.utc_now = before


def test_every_time_that_is_printed_is_taken_as_a_start_and_an_end(
    stack: Stack, api: HttpApi, a_little_later: Callable[[timedelta], None]
) -> None:
    life = Life(stack, BEGIN + timedelta(minutes=3))
    life.count_hourly(10, 3)
    life.go_to(MONTH_1 + timedelta(hours=5))
    record_readings("acme", 3, clock.utc_now())
    a_little_later(timedelta(microseconds=123_456))
    invoices = api.call("GET", "/organizations/acme/invoices").body
    (invoice,) = (each for period in invoices["periods"] for each in period["invoices"])
    answers = [
        invoices,
        api.call("GET", f"/organizations/acme/invoices/{invoice['invoice_id']}").body,
        api.call("GET", "/organizations/acme/usage").body,
        api.call("GET", "/organizations/acme/usage", query={"start": "2026-11-23T00:00:00Z"}).body,
        api.call("GET", "/organizations/acme/subscription").body,
        api.call("POST", "/organizations/acme/subscription/cancellation", {"at": "period_end"}).body,
    ]
    times = {text for answer in answers for text in times_in(answer)}
    assert len(times) > 10
    for text in sorted(times):
        after = clock.format_time(datetime.fromisoformat(text).astimezone(UTC) + timedelta(hours=1))
        response = api.call("GET", "/organizations/acme/usage", query={"start": text, "end": after})
        assert response.status == 200, (text, response.body)


def test_the_running_hour_is_in_a_range_that_ends_now(
    stack: Stack, api: HttpApi, a_little_later: Callable[[timedelta], None]
) -> None:
    a_little_later(timedelta(microseconds=1))
    record_readings("acme", 3, clock.utc_now())
    assert len(api.call("GET", "/organizations/acme/usage").body["hours"]) == 1


def test_a_page_may_begin_with_an_hour_whose_key_is_damaged(stack: Stack, api: HttpApi) -> None:
    for window_start in ("2026-11-23T06:00:00Z", "2026-11-23T06:30", "2026-11-23T07:00:00Z"):
        UsageRecord("acme", window_start, temperature_readings=1).save()
    seen, cursor = [], None
    while True:
        query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        page = api.call("GET", "/organizations/acme/usage", query=query).body
        seen += [hour["window_start"] for hour in page["hours"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["2026-11-23T06:00:00Z", "2026-11-23T06:30", "2026-11-23T07:00:00Z"]
