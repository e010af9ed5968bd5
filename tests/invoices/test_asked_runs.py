"""A run that a draft asks for: its organisation's hours do not wait for the schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from billing import metering_requests, record_readings
from billing.clock import HOUR
from billing.errors import InvalidUsageError
from programs.local.stack import TimeLimit
from tests.invoices.lives import BEGIN, MONTH_1, Life
from tests.support.aws_lambda import InvokedMetering

if TYPE_CHECKING:
    from programs.local.stack import Stack


@pytest.fixture
def aws_lambda(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> InvokedMetering:
    """Return a Lambda that knows the stack's metering function."""
    aws_lambda = InvokedMetering(stack, "Event")
    monkeypatch.setattr(metering_requests, "lambda_client", lambda: aws_lambda)
    monkeypatch.setenv("METERING_FUNCTION", "metering")
    return aws_lambda


def a_life_up_to_its_renewal(stack: Stack, minute: int) -> Life:
    """Return a life whose first period ends at that minute of 10:00; the last runs were missed."""
    life = Life(stack, BEGIN + timedelta(minutes=minute))
    life.count(100, BEGIN + timedelta(minutes=minute))
    life.go_to(MONTH_1 - 3 * HOUR)
    life.count_hourly(10, 3, runs=False)
    return life


def test_a_renewal_has_the_hours_sent_that_are_due(stack: Stack, aws_lambda: InvokedMetering) -> None:
    life = a_life_up_to_its_renewal(stack, 30)
    record_readings("other", 5, MONTH_1 - HOUR)
    life.go_to(MONTH_1 + timedelta(minutes=40), runs=False)

    assert aws_lambda.payloads == [{"organization_id": "acme"}]
    assert stack.due_hours() == [("other", "2026-12-23T09:00:00Z")], "an hour of another organisation is none of its"
    life.go_to(MONTH_1 + 5 * HOUR, runs=False)
    assert life.invoiced() == life.counted == 130


def test_a_planned_end_has_the_hours_sent_that_are_due(stack: Stack, aws_lambda: InvokedMetering) -> None:
    life = a_life_up_to_its_renewal(stack, 30)
    stack.simulator.account.subscriptions.update(life.subscription_id, {"cancel_at_period_end": "true"})
    life.go_to(MONTH_1 + timedelta(minutes=40), runs=False)

    assert aws_lambda.payloads == [{"organization_id": "acme"}]
    assert stack.due_hours() == []


def test_in_the_minutes_of_the_schedule_it_is_left_to_it(stack: Stack, aws_lambda: InvokedMetering) -> None:
    life = a_life_up_to_its_renewal(stack, 3)
    life.go_to(MONTH_1 + timedelta(minutes=5))
    assert aws_lambda.payloads == []
    life.go_to(MONTH_1 + 5 * HOUR)

    assert life.invoiced() == life.counted == 130


def test_where_no_hour_is_due_no_run_is_asked_for(stack: Stack, aws_lambda: InvokedMetering) -> None:
    life = Life(stack, BEGIN + timedelta(minutes=30))
    life.count(100, BEGIN + timedelta(minutes=30))
    life.go_to(MONTH_1 + timedelta(minutes=40))

    assert aws_lambda.payloads == []


def test_where_lambda_takes_no_request_the_schedule_sends_the_hours(stack: Stack, aws_lambda: InvokedMetering) -> None:
    aws_lambda.failure = ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "later"}}, "Invoke")
    life = a_life_up_to_its_renewal(stack, 30)
    life.go_to(MONTH_1 + timedelta(minutes=40), runs=False)
    assert life.failed == [], "the webhook has done what it had to"
    life.go_to(MONTH_1 + 5 * HOUR)

    assert life.invoiced() == life.counted == 130


def test_it_is_no_scheduled_run_for_the_alarms(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.simulator.clock.set(BEGIN + 2 * HOUR)
    record_readings("acme", 5, BEGIN)
    summary = stack.metering_app.handler({"organization_id": "acme"}, TimeLimit())

    assert summary["refused"] == {"no_customer": 1}
    out = capsys.readouterr().out
    assert "hours_refused" in out
    assert "runs_succeeded" not in out


def test_an_id_that_no_organisation_has_is_refused(stack: Stack) -> None:
    with pytest.raises(InvalidUsageError, match="organization_id"):
        stack.metering_app.handler({"organization_id": "../acme"}, TimeLimit())
