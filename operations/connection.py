"""Which stack to work on: a deployed one, by its outputs, or whatever the environment names."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from billing.errors import ConfigurationError
from operations.provisioning.secrets import FileStore, SecretsManagerStore, SecretStore, StripeSecretDocument

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

# The stack's output, and the variable that the code reads it from.
OUTPUTS = {
    "SubscriptionsTableName": "SUBSCRIPTIONS_TABLE",
    "CustomersTableName": "CUSTOMERS_TABLE",
    "StripeEventsTableName": "STRIPE_EVENTS_TABLE",
    "UsageTableName": "USAGE_TABLE",
    "PeriodsTableName": "PERIODS_TABLE",
    "UsageEventsTableName": "USAGE_EVENTS_TABLE",
    "UsageQueueUrl": "USAGE_QUEUE_URL",
    "UsageDeadLetterQueueUrl": "USAGE_DEAD_LETTER_QUEUE_URL",
    "StripeSecretArn": "STRIPE_SECRET_ARN",
}
# Those that a stack of an older version does not have.
SETTINGS = {"GraceDays": "GRACE_DAYS"}
WEBHOOK_URL = "WebhookUrl"


@cache
def aws_client(service: str) -> Any:
    """Return the process's only client of an AWS service, made on first use.

    Raises:
        ConfigurationError: there is no region.
    """
    import boto3
    from botocore.exceptions import NoRegionError

    try:
        return boto3.client(service)  # type: ignore[call-overload]  # the service is named at run time
    except NoRegionError as error:
        raise ConfigurationError(
            "There is no AWS region: set AWS_DEFAULT_REGION, or a region for your profile (aws configure)"
        ) from error


def use_stack(name: str) -> dict[str, str]:
    """Point the code at a deployed stack and return the stack's outputs.

    What the environment already says about Stripe's key stays: an operator may use another than the functions.

    Raises:
        ConfigurationError: there is no such stack, or it is not one of this project's.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        stacks = aws_client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except (ClientError, BotoCoreError) as error:
        raise ConfigurationError(f"The stack {name} cannot be read: {error}") from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", ())}
    missing = sorted(OUTPUTS.keys() - outputs.keys())
    if missing:
        raise ConfigurationError(f"The stack {name} has no output {', '.join(missing)}: is it one of this project?")
    known = {output: variable for output, variable in (OUTPUTS | SETTINGS).items() if output in outputs}
    os.environ.update({variable: outputs[output] for output, variable in known.items()})
    return outputs


def parameters_of(name: str) -> dict[str, str]:
    """Return a stack's parameters as it was deployed with them."""
    stack = aws_client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {each["ParameterKey"]: each.get("ParameterValue", "") for each in stack.get("Parameters", ())}


def resources_of(name: str) -> dict[str, str]:
    """Return the physical ids of a stack's resources by logical id."""
    pages = aws_client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name)
    return {
        each["LogicalResourceId"]: each.get("PhysicalResourceId", "")
        for page in pages
        for each in page["StackResourceSummaries"]
    }


def is_set_up() -> bool | None:
    """Say whether there is a Stripe key in the stack's secret, without which every run waits; None if unreadable."""
    store = secret_store(None)
    try:
        return store is not None and StripeSecretDocument(store).has_api_key()
    except ConfigurationError:
        return None


def secret_store(secrets_file: Path | None) -> SecretStore | None:
    """Return where signing secrets go: the file, else the secret that `STRIPE_SECRET_ARN` names, else None."""
    if secrets_file is not None:
        return FileStore(secrets_file)
    secret_id = os.environ.get("STRIPE_SECRET_ARN", "")
    if not secret_id:
        return None
    client: SecretsManagerClient = aws_client("secretsmanager")
    return SecretsManagerStore(secret_id, client)
