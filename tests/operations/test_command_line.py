from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from billing.errors import ConfigurationError
from operations import backlog, connection
from operations.last_runs import SERVICE
from programs.local.cloudformation import read_template
from programs.local.stack import Stack
from tests.operations.conftest import (
    START,
    Operate,
    record_usage,
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["usage", "acme", "--start", "yesterday"],
        ["reconcile", "--start", "2026-01-01T00:00:00Z"],
        ["requeue-refused", "--since", "2026"],
        ["due", "--limit", "0"],
        ["nonsense"],
    ],
)
def test_a_wrong_option_is_said_and_exits_with_2(arguments: list[str], stack: Stack, operate: Operate) -> None:
    assert operate(*arguments).code == 2


def test_a_missing_key_is_one_line_and_no_trace(operate: Operate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)
    ran = operate("provision")
    assert ran.code == 1
    assert ran.err.startswith("ConfigurationError: There is no Stripe API key")
    assert "Traceback" not in ran.err


def _stack_outputs(names: dict[str, str]) -> dict[str, Any]:
    return {
        "Stacks": [
            {
                "StackName": "billing-prod",
                "CreationTime": START,
                "StackStatus": "UPDATE_COMPLETE",
                "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in names.items()],
            }
        ]
    }


@pytest.fixture
def deployed(operate: Operate) -> Iterator[Stubber]:
    """Stand in for AWS: CloudFormation answers with what the test says; the rest is moto's."""
    with mock_aws(config={"core": {"mock_credentials": False}}):
        cloudformation = boto3.client("cloudformation")
        with Stubber(cloudformation) as stubber:
            clients = {"cloudformation": cloudformation}
            real = connection.aws_client
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(connection, "aws_client", lambda service: clients.get(service) or real(service))
                yield stubber


OUTPUTS = {
    "SubscriptionsTableName": "SubscriptionsTable",
    "CustomersTableName": "CustomersTable",
    "StripeEventsTableName": "StripeEventsTable",
    "UsageTableName": "UsageTable",
    "PeriodsTableName": "PeriodsTable",
    "UsageEventsTableName": "UsageEventsTable",
    "UsageQueueUrl": "https://sqs.eu-central-1.amazonaws.com/123456789012/UsageQueue",
    "UsageDeadLetterQueueUrl": "https://sqs.eu-central-1.amazonaws.com/123456789012/UsageDeadLetterQueue",
    "StripeSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:stripe",
    "WebhookUrl": "https://x.execute-api.eu-central-1.amazonaws.com/stripe/webhook",
}


@pytest.mark.parametrize(("api_key", "is_set_up"), [("", False), ("sk_test_1", True)])
def test_the_status_says_whether_the_stack_is_set_up(
    stack: Stack, operate: Operate, deployed: Stubber, api_key: str, is_set_up: bool
) -> None:
    text = json.dumps({"api_key": api_key, "webhook_secrets": []})
    made = boto3.client("secretsmanager").create_secret(Name="stripe", SecretString=text)
    for _ in range(2):
        deployed.add_response("describe_stacks", _stack_outputs(OUTPUTS | {"StripeSecretArn": made["ARN"]}))

    assert operate("--json", "--stack", "billing-prod", "status").json["set_up"] is is_set_up
    assert ("Not set up yet" in operate("--stack", "billing-prod", "status").out) is not is_set_up


def test_the_status_needs_no_permission_to_read_the_secret(stack: Stack, operate: Operate, deployed: Stubber) -> None:
    deployed.add_response("describe_stacks", _stack_outputs(OUTPUTS))
    secrets = boto3.client("secretsmanager")
    with Stubber(secrets) as refusing, pytest.MonkeyPatch.context() as patch:
        refusing.add_client_error("get_secret_value", "AccessDeniedException")
        of_aws = connection.aws_client
        patch.setattr(
            connection, "aws_client", lambda service: secrets if service == "secretsmanager" else of_aws(service)
        )
        assert operate("--json", "--stack", "billing-prod", "status").json["set_up"] is None


def test_a_stack_is_operated_by_its_name(stack: Stack, operate: Operate, deployed: Stubber) -> None:
    deployed.add_response("describe_stacks", _stack_outputs(OUTPUTS), {"StackName": "billing-prod"})
    cloudwatch = boto3.client("cloudwatch")
    for hours_ago, name, value in ((1, "runs_succeeded", 1), (3, "runs_succeeded", 2), (2, "runs_failed", 1)):
        cloudwatch.put_metric_data(
            Namespace="SensorBilling/billing-prod",
            MetricData=[
                {
                    "MetricName": name,
                    "Value": value,
                    "Timestamp": START - timedelta(hours=hours_ago) + timedelta(minutes=5),
                    "Dimensions": [{"Name": "service", "Value": SERVICE}],
                }
            ],
        )
    record_usage("acme")
    ran = operate("--json", "--stack", "billing-prod", "status")
    assert ran.code == 0, ran.err
    assert ran.json["due_hours"] == 3
    assert ran.json["last_runs"] == {"succeeded": 3, "failed": 1, "last_success_hour": "2026-11-23T07:00:00Z"}


def test_a_stack_of_something_else_is_refused(operate: Operate, deployed: Stubber) -> None:
    deployed.add_response("describe_stacks", _stack_outputs({"Website": "x"}))
    ran = operate("--stack", "website", "status")
    assert (ran.code, "has no output" in ran.err) == (1, True)


def test_a_stack_that_does_not_exist_is_one_line(operate: Operate, deployed: Stubber) -> None:
    deployed.add_client_error("describe_stacks", "ValidationError", "Stack with id nobody does not exist")
    ran = operate("--stack", "nobody", "status")
    assert ran.code == 1
    assert "does not exist" in ran.err


def test_the_template_has_the_outputs_and_the_service_that_are_read_here() -> None:
    template = read_template()
    assert {*connection.OUTPUTS, connection.WEBHOOK_URL} <= template["Outputs"].keys()
    variables = template["Resources"]["UsageMeteringFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == SERVICE


def test_every_command_on_a_stack_says_where_it_is(stack: Stack, operate: Operate, deployed: Stubber) -> None:
    deployed.add_response("describe_stacks", _stack_outputs(OUTPUTS))
    assert operate("--stack", "billing-prod", "due").err == "billing-prod in eu-central-1\n"


def test_no_region_is_told_by_the_name_of_what_is_read(operate: Operate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    ran = operate("--stack", "billing-prod", "status")
    assert (ran.code, "set AWS_DEFAULT_REGION" in ran.err) == (1, True)


def test_a_defect_is_json_for_programs_and_keeps_its_trace(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backlog, "count_due", lambda shard, until: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        operate("--json", "status")
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("arguments", "code", "error_type"),
    [
        (["--json", "nonsense"], 2, "UsageError"),
        (["--jsn", "--json", "status"], 2, "UsageError"),
        (["--json"], 2, "UsageError"),
        (["usage", "--json"], 2, "UsageError"),
        (["due", "--limit", "0", "--json"], 2, "UsageError"),
        (["--json", "reconcile", "--start", "2026-01-01T00:00:00Z"], 2, "UsageError"),
        (["usage", "nobody", "--json"], 1, "UnknownOrganizationError"),
        (["explain", "", "--json"], 1, "UnknownOrganizationError"),
        (["periods", "x" * 2049, "--json"], 1, "UnknownOrganizationError"),
        (["usage", "--json", "--", "-nobody"], 1, "UnknownOrganizationError"),
    ],
)
def test_every_error_is_one_json_document_for_programs(
    stack: Stack, operate: Operate, arguments: list[str], code: int, error_type: str
) -> None:
    ran = operate(*arguments)
    assert (ran.code, ran.err) == (code, "")
    assert (list(ran.json), ran.json["error"]["type"]) == (["error"], error_type)
    assert ran.json["error"]["message"]


def test_an_organisation_may_be_called_like_an_option(stack: Stack, operate: Operate) -> None:
    assert "No table knows the organisation --json" in operate("usage", "--", "--json").err


def test_without_a_command_the_help_is_shown(operate: Operate) -> None:
    assert (operate().code, "requeue-refused" in operate().out) == (0, True)


def test_what_an_error_says_is_no_markup(operate: Operate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> dict[str, str]:
        raise ConfigurationError(f"{name}: [bold] of [/nothing] " + "long " * 60)

    monkeypatch.setattr(connection, "use_stack", fails)
    assert operate("--stack", "x", "status").err == f"ConfigurationError: x: [bold] of [/nothing] {'long ' * 60}\n"
