"""A deployed stack in which everything is right: tables, account and what AWS tells of it, each to be broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from billing import clock, record_readings
from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_secrets import secrets_reader
from operations import connection
from operations.doctor.queues import DEAD_LETTER_QUEUES
from operations.doctor.schedule import SCHEDULES
from programs.local.stack import WEBHOOK_URL, Stack

NAME = "billing-dev"
TABLES = ("Subscriptions", "Customers", "StripeEvents", "Usage", "Periods", "UsageEvents")


class CloudFormation:
    """CloudFormation as far as it is asked."""

    meta = SimpleNamespace(region_name="eu-central-1")

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        self.parameters: dict[str, str] = {}
        self.resources: dict[str, str] = {}

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # AWS's name
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()]
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        return {"Stacks": [{"StackName": StackName, "Outputs": outputs, "Parameters": parameters}]}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_stack_resources"
        resources = [
            {"LogicalResourceId": name, "PhysicalResourceId": physical} for name, physical in self.resources.items()
        ]
        return SimpleNamespace(paginate=lambda StackName: [{"StackResourceSummaries": resources}])


class Refusing:
    """A client of AWS that may do nothing."""

    meta = SimpleNamespace(region_name="eu-central-1")

    def __getattr__(self, operation: str) -> Any:
        def refuse(*arguments: object, **options: object) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "arn:secret"}}, operation)

        return refuse


@dataclass
class Deployed:
    """The stack; `clients` stand in for those of AWS, `secret` is what Secrets Manager has."""

    stack: Stack
    cloudformation: CloudFormation = field(default_factory=CloudFormation)
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def account(self) -> Any:
        return self.stack.simulator.account

    def client(self, service: str) -> Any:
        return self.clients.setdefault(service, boto3.client(service))  # type: ignore[call-overload]

    def put_secret(self, **values: Any) -> None:
        """Change what the secret has, and let the process read it anew."""
        client, name = self.client("secretsmanager"), "stripe"
        before = json.loads(client.get_secret_value(SecretId=name)["SecretString"])
        client.put_secret_value(SecretId=name, SecretString=json.dumps(before | values))
        secrets_reader.cache_clear()
        stripe_gateway.cache_clear()

    def send(self, output: str) -> None:
        """Put a message on the queue of an output."""
        self.client("sqs").send_message(QueueUrl=self.cloudformation.outputs[output], MessageBody="{}")

    def put_metric(self, namespace: str, name: str, value: float, dimension: tuple[str, str]) -> None:
        """Put a metric of five minutes ago."""
        point = {
            "MetricName": name,
            "Value": value,
            "Timestamp": clock.utc_now() - timedelta(minutes=5),
            "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}],
        }
        self.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[point])

    def set_schedule(self, logical_id: str, state: str) -> None:
        """Turn a schedule on or off, as somebody would in the console."""
        scheduler, name = self.client("scheduler"), self.cloudformation.resources[logical_id]
        options = _schedule(name, state)
        scheduler.update_schedule(**options)


def _schedule(name: str, state: str) -> dict[str, Any]:
    role = "arn:aws:iam::123456789012:role/scheduler"
    return {
        "Name": name,
        "State": state,
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:lambda:eu-central-1:123456789012:function:x", "RoleArn": role},
    }


@contextmanager
def deployed(stack: Stack) -> Iterator[Deployed]:
    """Deploy a stack whose account is provisioned, with a subscriber whose first period was invoiced."""
    _live_a_month(stack)
    with mock_aws(config={"core": {"mock_credentials": False}}), pytest.MonkeyPatch.context() as monkeypatch:
        world = Deployed(stack)
        world.clients["cloudformation"] = world.cloudformation
        monkeypatch.setattr(connection, "aws_client", world.client)
        _deploy(world)
        for variable in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"):
            monkeypatch.setenv(variable, "")
        secrets_reader.cache_clear()
        stripe_gateway.cache_clear()
        yield world


def _live_a_month(stack: Stack) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    stack.advance(hours=2)
    # Without usage there would be no invoice.
    record_readings("acme", 60, clock.utc_now() - clock.HOUR)
    stack.meter()
    # Over the period's end, and past the moment at which its draft is made final.
    stack.advance(days=30, minutes=10)
    stack.deliver_all()
    stack.advance(hours=3)
    stack.deliver_all()
    stack.advance(minutes=30)


def _deploy(world: Deployed) -> None:
    outputs, resources = world.cloudformation.outputs, world.cloudformation.resources
    outputs |= {f"{name}TableName": f"{name}Table" for name in TABLES} | {"WebhookUrl": WEBHOOK_URL}
    for output in ("UsageQueueUrl", *DEAD_LETTER_QUEUES):
        outputs[output] = world.client("sqs").create_queue(QueueName=f"{NAME}-{output}")["QueueUrl"]
    text = json.dumps({"api_key": "rk_test_deployed", "webhook_secrets": _signing_secrets(world)})
    secret = world.client("secretsmanager").create_secret(Name="stripe", SecretString=text)
    outputs["StripeSecretArn"] = secret["ARN"]
    sns = world.client("sns")
    outputs["AlarmTopicArn"] = sns.create_topic(Name="alarms")["TopicArn"]
    sns.subscribe(TopicArn=outputs["AlarmTopicArn"], Protocol="email", Endpoint="on-duty@example.com")
    for logical_id in SCHEDULES:
        resources[logical_id] = f"{NAME}-{logical_id}"
        world.client("scheduler").create_schedule(**_schedule(resources[logical_id], "ENABLED"))
    world.cloudformation.parameters |= {
        "Environment": "dev",
        "ScheduleState": "ENABLED",
        "AllowedPriceIds": ",".join(world.stack.prices.values()),
        "AllowedRedirectHosts": "app.example.com",
        "MeteringWorkers": "0",
        "MeterEventTransport": "auto",
    }
    world.put_metric(f"SensorBilling/{NAME}", "runs_succeeded", 1, ("service", "metering"))


def _signing_secrets(world: Deployed) -> list[str]:
    return [destination.secret for destination in world.stack.simulator.webhooks.destinations.values()]
