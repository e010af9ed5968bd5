"""The answer for one organisation: one read, on the layer and over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from billing import clock, may_use
from billing.errors import ConfigurationError, InvalidUsageError
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.http_api import HttpApi
from programs.local.stack import Stack
from tests.support.calls import hook
from tests.support.imports import modules_after

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


def test_asking_is_one_read_of_one_item(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    calls = hook(monkeypatch)

    with calls.watched():
        assert may_use("acme")
        assert may_use("acme", consistent=True).reason == "active"
        assert not may_use("nobody")

    assert calls.names == ["dynamodb:GetItem"] * 3


def test_asking_imports_no_stripe() -> None:
    assert not modules_after("from billing import may_use; may_use") & {"stripe", "billing.metering"}


def test_an_id_that_no_organisation_can_have_is_refused() -> None:
    with pytest.raises(InvalidUsageError):
        may_use(".hidden")


def test_the_api_says_why_and_until_when(stack: Stack) -> None:
    stack.subscribe("acme", trial_days=3)
    stack.deliver_all()
    trial_end = clock.format_time(clock.utc_now() + timedelta(days=3))

    answer = HttpApi().call("GET", "/organizations/acme/access").body
    nobody = HttpApi().call("GET", "/organizations/nobody/access").body

    assert answer == {
        "organization_id": "acme",
        "may_use": True,
        "access": "allowed",
        "reason": "trialing",
        "since": None,
        "until": trial_end,
    }
    assert (nobody["may_use"], nobody["access"], nobody["reason"]) == (False, "denied", "no_subscription")


def test_an_answer_is_right_though_nothing_ran_since(stack: Stack) -> None:
    _, subscription_id = stack.subscribe("acme")
    stack.simulator.account.subscriptions.update(subscription_id, {"cancel_at_period_end": True})
    stack.deliver_all()
    end = stack.record("acme").current_period_end
    assert end is not None

    assert may_use("acme").until == end
    stack.simulator.clock.set(end)
    assert not may_use("acme")


def test_a_record_of_the_version_before_is_answered_from_what_it_has(stack: Stack) -> None:
    stack.subscribe("acme", trial_days=3)
    stack.deliver_all()
    names = ("access", "access_reason", "access_until", "trial_end", "past_due_since")
    removals = [getattr(SubscriptionRecord, name).remove() for name in names]
    SubscriptionRecord("acme").update_if(removals)

    assert (may_use("acme").state, may_use("acme").until) == ("allowed", None)
    SubscriptionRecord("acme").update_if([SubscriptionRecord.status.set("past_due")])
    assert (may_use("acme").state, may_use("acme").until) == ("grace", None)


def test_a_damaged_record_locks_nobody_out(stack: Stack, dynamodb: DynamoDBClient) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    damage(dynamodb, "acme", "cancel_at", "tomorrow")

    assert (may_use("acme").state, may_use("acme").reason) == ("grace", "record_damaged")


def damage(dynamodb: DynamoDBClient, organization_id: str, name: str, text: str) -> None:
    dynamodb.update_item(
        TableName="SubscriptionsTable",
        Key={"organization_id": {"S": organization_id}},
        UpdateExpression="SET #name = :text",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":text": {"S": text}},
    )


@pytest.mark.parametrize("days", ["-1", "many", "366", "nan"])
def test_a_grace_period_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, stack: Stack, days: str) -> None:
    monkeypatch.setenv("GRACE_DAYS", days)
    with pytest.raises(ConfigurationError, match="GRACE_DAYS"):
        may_use("acme")
