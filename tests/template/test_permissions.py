"""House rules for permissions: one role a function, named resources only, and nothing that its code does not use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.template.expanded import expand, referred, role_statements
from tests.template.functions import FUNCTIONS
from tests.template.permissions import GRANTED

# X-Ray's actions know no resources:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
WITHOUT_RESOURCES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}


def granted(function: str, **parameters: str) -> dict[str, set[str]]:
    """Return what the function's role allows, by resource, as the template has it."""
    actions: dict[str, set[str]] = {}
    for statement in expand(**parameters).statements(function):
        assert statement["Effect"] == "Allow"
        for resource in statement["Resource"]:
            actions.setdefault(referred(resource), set()).update(statement["Action"])
    return actions


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_may_do_exactly_what_is_listed(function: str) -> None:
    assert granted(function) == GRANTED[function] | {f"{function}LogGroup": LOGS}


def test_every_function_has_a_role_of_its_own() -> None:
    template = expand()
    roles = [referred(template.properties(function)["Role"]) for function in FUNCTIONS]

    assert len(set(roles)) == len(FUNCTIONS)


@pytest.mark.parametrize("tracing", ["PassThrough", "Active"])
def test_no_role_names_everything_where_a_resource_can_be_named(tracing: str) -> None:
    for name, role in expand(Tracing=tracing, MeteringWorkers="2").of_type("AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role["Properties"], name
        for statement in role_statements(role["Properties"]):
            assert not any("*" in action for action in statement["Action"]), name
            for resource in statement["Resource"]:
                # Any stream of a table: its name is the time at which it was made.
                if "*" in referred(resource).removesuffix("Table/stream/*"):
                    assert set(statement["Action"]) <= WITHOUT_RESOURCES, name


def test_roles_trust_one_service_each() -> None:
    services = {
        "StripeWebhookFunctionRole": "lambda.amazonaws.com",
        "UsageIngestionFunctionRole": "lambda.amazonaws.com",
        "UsageMeteringFunctionRole": "lambda.amazonaws.com",
        "UsageMeteringWorkerFunctionRole": "lambda.amazonaws.com",
        "UsageReconciliationFunctionRole": "lambda.amazonaws.com",
        "BillingApiFunctionRole": "lambda.amazonaws.com",
        "BillingEventsFunctionRole": "lambda.amazonaws.com",
        "SchedulerRole": "scheduler.amazonaws.com",
    }
    trusted = {}
    for name, role in expand().of_type("AWS::IAM::Role").items():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        service: Any = statement["Principal"]["Service"]
        trusted[name] = service[0] if isinstance(service, list) else service
    assert trusted == services


def test_the_schedules_role_is_this_account_s_and_may_start_what_they_start() -> None:
    template = expand()
    role = template.properties("SchedulerRole")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    allowed = {
        (action, referred(resource))
        for item in role_statements(role)
        for action in item["Action"]
        for resource in item["Resource"]
    }
    targets = [item["Properties"]["Target"] for item in template.of_type("AWS::Scheduler::Schedule").values()]

    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert {referred(target["RoleArn"]) for target in targets} == {"SchedulerRole"}
    assert allowed == {
        *(("lambda:InvokeFunction", referred(target["Arn"])) for target in targets),
        *(("sqs:SendMessage", referred(target["DeadLetterConfig"]["Arn"])) for target in targets),
    }


def test_the_webhook_never_learns_which_hours_are_due() -> None:
    assert "UsageTable/index/due" not in granted("StripeWebhookFunction")


@pytest.mark.parametrize("function", ["UsageMeteringFunction", "UsageMeteringWorkerFunction"])
def test_metering_cannot_write_subscriptions(function: str) -> None:
    reading = {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem"}

    assert granted(function)["SubscriptionsTable"] <= reading


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_function_deletes_anything_or_touches_a_table_s_definition(function: str) -> None:
    actions = {action for actions in granted(function).values() for action in actions if "dynamodb" in action}

    assert not {action for action in actions if "Delete" in action or "Table" in action}


@pytest.mark.parametrize("function", ["UsageMeteringFunction", "UsageReconciliationFunction", "BillingEventsFunction"])
def test_function_may_write_to_the_queue_its_failed_invocations_go_to(function: str) -> None:
    config = expand().properties(f"{function}EventInvokeConfig")
    queue = referred(config["DestinationConfig"]["OnFailure"]["Destination"])

    assert "sqs:SendMessage" in granted(function)[queue]


def test_only_alarms_of_this_account_publish_to_the_topic() -> None:
    (statement,) = expand().properties("AlarmTopicPolicy")["PolicyDocument"]["Statement"]

    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def queue_policy(**parameters: str) -> dict[str, Any]:
    """Return the statements about who may send usage events, by their names."""
    statements = expand(**parameters).properties("UsageQueuePolicy")["PolicyDocument"]["Statement"]
    return {statement["Sid"]: statement for statement in statements}


def test_nobody_outside_the_account_sends_usage_unless_named() -> None:
    assert {name: statement["Effect"] for name, statement in queue_policy().items()} == {"NobodyInPlainText": "Deny"}


def test_named_senders_may_send_usage_and_nothing_else() -> None:
    senders = "arn:aws:iam::111122223333:role/gateway,444455556666"
    statement = queue_policy(UsageSenders=senders)["NamedSenders"]

    assert statement["Principal"] == {"AWS": {"Fn::Split": [",", senders]}}
    assert statement["Action"] == ["sqs:SendMessage", "sqs:GetQueueUrl"]


def test_a_rule_sends_usage_where_it_is_named_and_of_this_account() -> None:
    rule = "arn:aws:events:eu-central-1:123456789012:rule/usage"
    statement = queue_policy(UsageRules=rule)["EventBridgeRules"]

    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::Split": [",", rule]}},
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
    }
