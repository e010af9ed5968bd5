"""Ending a subscription over the API, to the last invoice: what was counted is invoiced, or told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from billing import clock, metering_requests
from billing.clock import HOUR
from programs.local.http_api import HttpApi, HttpResponse
from programs.local.stack import Stack
from tests.invoices.lives import BEGIN, MONTH_1, READINGS, Life
from tests.support.aws_lambda import InvokedMetering

CANCEL = "DELETE /v1/subscriptions/{id}"
CANCELLATION = "/organizations/acme/subscription/cancellation"


@pytest.fixture
def aws_lambda(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> InvokedMetering:
    aws_lambda = InvokedMetering(stack, "RequestResponse")
    monkeypatch.setattr(metering_requests, "waiting_lambda_client", lambda: aws_lambda)
    monkeypatch.setenv("METERING_FUNCTION", "metering")
    return aws_lambda


@pytest.fixture
def life(stack: Stack, aws_lambda: InvokedMetering) -> Life:
    """Return an organisation in the 4th hour of its subscription: 30 readings were sent, 10 are due, 7 are of now."""
    life = Life(stack, BEGIN + timedelta(minutes=3))
    life.count_hourly(10, 3)
    life.go_to(BEGIN + timedelta(hours=3, minutes=20))
    life.count(10, BEGIN + timedelta(hours=2, minutes=59))
    life.count(7, clock.utc_now())
    return life


def cancel(api: HttpApi, at: str, **fields: Any) -> HttpResponse:
    return api.call("POST", CANCELLATION, {"at": at, **fields})


def at_stripe(life: Life) -> dict[str, Any]:
    subscription: dict[str, Any] = life.stack.simulator.account.subscriptions.retrieve(life.subscription_id)
    return subscription


def told(api: HttpApi) -> int:
    """Return how much of what was counted the API's list of invoices shows as on none."""
    periods = api.call("GET", "/organizations/acme/invoices").body["periods"]
    remarks = [remark for period in periods for remark in period["meters"][READINGS]["remarks"]]
    return sum(remark["number"] or 0 for remark in remarks if remark["code"] in ("not_invoiced", "not_carried"))


def test_a_subscription_ends_with_its_period_and_its_last_invoice(life: Life, api: HttpApi) -> None:
    first, second = cancel(api, "period_end"), cancel(api, "period_end")
    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body
    assert (first.body["status"], first.body["cancel_at_period_end"]) == ("active", True)
    assert first.body["cancel_at"] == first.body["current_period_end"] == "2026-12-23T10:03:00Z"
    life.go_to(MONTH_1 + 5 * HOUR)
    assert api.call("GET", "/organizations/acme/subscription").body["status"] == "canceled"
    assert life.invoiced() == life.counted == 47


def test_it_goes_on_where_its_end_is_taken_back(life: Life, api: HttpApi) -> None:
    cancel(api, "period_end")
    first, second = (api.call("DELETE", CANCELLATION) for _ in range(2))
    assert (first.status, second.status) == (200, 200)
    assert (first.body["cancel_at"], first.body["cancel_at_period_end"]) == (None, False)
    life.go_to(MONTH_1 + 5 * HOUR)
    assert at_stripe(life)["status"] == "active"


def test_an_end_that_the_portal_has_set_is_taken_back_and_one_that_somebody_agreed_is_not(
    life: Life, api: HttpApi
) -> None:
    account = life.stack.simulator.account
    period_end = at_stripe(life)["items"]["data"][0]["current_period_end"]
    account.subscriptions.update(life.subscription_id, {"cancel_at": period_end})
    assert api.call("DELETE", CANCELLATION).body["cancel_at"] is None
    account.subscriptions.update(life.subscription_id, {"cancel_at": period_end + 86400})
    refused = api.call("DELETE", CANCELLATION)
    assert refused.status == 409
    assert "not its period's end" in refused.body["detail"]


def test_at_once_bills_the_usage_until_now(life: Life, api: HttpApi, aws_lambda: InvokedMetering) -> None:
    ended = cancel(api, "now")
    assert (ended.status, ended.body["status"], ended.body["ended_at"]) == (200, "canceled", "2026-11-23T13:20:00Z")
    assert aws_lambda.payloads == [{"organization_id": "acme", "running_hour": True}]
    assert life.stack.due_hours() == []
    life.go_to(clock.utc_now() + 5 * HOUR)
    assert life.invoiced() == life.counted == 47
    assert api.call("GET", "/organizations/acme/subscription").body["ended_at"] == "2026-11-23T13:20:00Z"


def test_what_comes_later_in_the_running_hour_is_on_the_last_invoice_or_told(life: Life, api: HttpApi) -> None:
    assert cancel(api, "now").status == 200
    life.count(5, clock.utc_now())
    life.go_to(clock.utc_now() + timedelta(days=5))
    assert life.invoiced() == life.counted == 52


def test_where_stripe_closes_the_last_invoice_at_once_what_comes_later_is_told(life: Life, api: HttpApi) -> None:
    life.stack.simulator.settings.invoice_draft_seconds = 0
    assert cancel(api, "now").status == 200
    life.go_to(clock.utc_now() + timedelta(seconds=1))
    life.count(5, clock.utc_now())
    life.go_to(clock.utc_now() + timedelta(days=5))
    assert life.invoiced() == 47, "all that was counted before it ended"
    assert life.invoiced() + told(api) == life.counted == 52


def test_it_does_not_end_before_its_usage_is_sent(life: Life, api: HttpApi, aws_lambda: InvokedMetering) -> None:
    aws_lambda.failure = ReadTimeoutError(endpoint_url="https://lambda.example")
    refused = cancel(api, "now")
    assert (refused.status, refused.headers["Retry-After"]) == (409, "60")
    assert "usage of 2 hours, from 2026-11-23T12:00:00Z on, is not sent" in refused.body["detail"]
    assert at_stripe(life)["status"] == "active"
    aws_lambda.failure = None
    assert cancel(api, "now").status == 200


def test_it_does_not_end_while_stripe_takes_no_usage(life: Life, api: HttpApi) -> None:
    life.stack.simulator.faults.add("http_503", "/v1/billing/meter_events")
    assert cancel(api, "now").status == 409
    assert at_stripe(life)["status"] == "active"


def test_where_no_run_can_be_asked_for_it_waits_for_the_next_one(
    life: Life, api: HttpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METERING_FUNCTION")
    assert cancel(api, "now").status == 409
    life.go_to(BEGIN + timedelta(hours=4, minutes=6))
    assert cancel(api, "now").status == 200


def test_a_second_click_and_a_lost_response_change_nothing(life: Life, api: HttpApi) -> None:
    life.stack.simulator.faults.add("cut_after_effect", "/v1/subscriptions/*", method="DELETE", nth=1)
    first, second = cancel(api, "now"), cancel(api, "now")
    assert (first.status, first.body["status"]) == (200, "canceled")
    assert first.body == second.body
    assert [request.status for request in life.stack.simulator.requests.to(CANCEL)] == [None, 404]
    life.go_to(clock.utc_now() + 5 * HOUR)
    assert life.invoiced() == life.counted


def test_a_crash_before_stripe_is_told_is_healed_by_the_same_request(life: Life, api: HttpApi) -> None:
    life.stack.simulator.faults.add("cut_before_effect", "/v1/subscriptions/*", method="DELETE", limit=3)
    assert cancel(api, "now").status == 503
    assert at_stripe(life)["status"] == "active"
    life.count(4, clock.utc_now())
    assert cancel(api, "now").status == 200
    life.go_to(clock.utc_now() + 5 * HOUR)
    assert life.invoiced() == life.counted == 51


def test_prorating_is_passed_on_and_goes_with_now_alone(life: Life, api: HttpApi) -> None:
    refused = cancel(api, "period_end", prorate=True)
    assert (refused.status, refused.body["errors"][0]["field"]) == (422, "prorate")
    assert cancel(api, "now", prorate=True).status == 200
    (request,) = life.stack.simulator.requests.to(CANCEL)
    assert request.params == {"invoice_now": "true", "prorate": "true"}


def test_without_a_subscription_there_is_nothing_to_end(stack: Stack, api: HttpApi) -> None:
    for response in (cancel(api, "now"), cancel(api, "period_end"), api.call("DELETE", CANCELLATION)):
        assert response.status == 404


def test_one_that_has_ended_does_not_end_again_nor_go_on(life: Life, api: HttpApi) -> None:
    assert cancel(api, "now").status == 200
    for response in (cancel(api, "period_end"), api.call("DELETE", CANCELLATION)):
        assert (response.status, response.body["detail"]) == (409, "The subscription has ended")


@pytest.mark.parametrize("body", [{}, {"at": "never"}, {"at": "now", "prorate": 1}, {"at": "now", "x": 1}])
def test_a_request_that_says_nothing_clear_is_refused(body: dict[str, Any], life: Life, api: HttpApi) -> None:
    before = life.stack.simulator.requests.total
    assert api.call("POST", CANCELLATION, body).status == 422
    assert life.stack.simulator.requests.total == before
