"""A stack that was deployed and whose secret nobody has filled: it waits, says so, and rings nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from billing.errors import ConfigurationError
from programs.local.cloudformation import read_template
from tests.support.due_hours import due_hour, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

SECRET: str = read_template()["Resources"]["StripeSecret"]["Properties"]["SecretString"]


class StackSecret:
    """The stack's secret, as the template makes it until a test fills it."""

    def __init__(self) -> None:
        self._client = boto3.client("secretsmanager")
        self.arn = self._client.create_secret(Name="stripe", SecretString=SECRET)["ARN"]

    def put(self, text: str) -> None:
        self._client.put_secret_value(SecretId=self.arn, SecretString=text)


@pytest.fixture
def secret(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackSecret]:
    with mock_aws(config={"core": {"mock_credentials": False}}):
        made = StackSecret()
        monkeypatch.setenv("STRIPE_SECRET_ARN", made.arn)
        monkeypatch.delenv("STRIPE_SECRET_KEY")
        monkeypatch.delenv("STRIPE_WEBHOOK_SECRETS")
        yield made


def _metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {
        metric["Name"]: sum(line[metric["Name"]])
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ())
        for metric in directive["Metrics"]
    }


@pytest.mark.parametrize("queue_url", ["", "https://sqs.eu-central-1.amazonaws.com/1/shards.fifo"])
def test_a_run_waits_says_so_once_and_has_not_failed(
    stack: Stack,
    secret: StackSecret,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    queue_url: str,
) -> None:
    monkeypatch.setenv("METERING_QUEUE_URL", queue_url)

    assert stack.metering_app.handler({}, None) == {"not_set_up": True}
    assert _metrics(capsys) == {"oldest_due_hour_age": 0, "runs_succeeded": 1}
    assert caplog.messages == ["Not set up yet"]


def test_hours_that_wait_for_the_set_up_are_told_by_their_age(
    stack: Stack, secret: StackSecret, dynamodb: DynamoDBClient, capsys: pytest.CaptureFixture[str]
) -> None:
    put(dynamodb, "UsageTable", [due_hour("acme")])
    stack.advance(hours=4)
    stack.metering_app.handler({}, None)

    assert _metrics(capsys)["oldest_due_hour_age"] > 3 * 3600


@pytest.mark.parametrize("queue_url", ["", "https://sqs.eu-central-1.amazonaws.com/1/requests"])
def test_a_comparison_waits_says_so_once_and_has_not_failed(
    stack: Stack,
    secret: StackSecret,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    queue_url: str,
) -> None:
    monkeypatch.setenv("RECONCILIATION_QUEUE_URL", queue_url)

    assert stack.reconciliation_app.handler({}, None) == {"not_set_up": True}
    assert _metrics(capsys) == {"hours_compared": 0}
    assert caplog.messages == ["Not set up yet"]


@pytest.mark.parametrize("text", ['{"api_key": "", "webhook_secrets": ["whsec_1"]}', "{}", "not JSON"])
def test_a_secret_that_somebody_spoiled_fails_the_run(
    stack: Stack, secret: StackSecret, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    secret.put(text)

    with pytest.raises(ConfigurationError):
        stack.metering_app.handler({}, None)
    assert _metrics(capsys)["runs_failed"] == 1


def test_the_first_run_after_the_secret_was_filled_is_a_run(stack: Stack, secret: StackSecret) -> None:
    assert stack.metering_app.handler({}, None) == {"not_set_up": True}
    secret.put('{"api_key": "sk_test_simulator", "webhook_secrets": []}')

    assert stack.metering_app.handler({}, None)["hours"] == 0
