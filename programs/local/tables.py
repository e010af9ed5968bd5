"""The tables that template.yaml describes, on a local server."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs.local.cloudformation import TEMPLATE_PATH, read_template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

# A table of more items than this is created anew rather than emptied item by item.
EMPTIED_BY_DELETION = 100


def client_for(endpoint: str) -> DynamoDBClient:
    """Return a client for a local server, with the environment's credentials, else invented ones."""
    import boto3

    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=os.environ.get("AWS_DEFAULT_REGION", "eu-central-1"),
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "local"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "local"),
    )


def table_definitions(template_path: Path = TEMPLATE_PATH) -> dict[str, dict[str, Any]]:
    """Return the arguments of `create_table` as the template has them by logical id, the name here.

    Without streams: whoever reads one turns it on (`streams.py`).
    """
    definitions = {}
    for logical_id, resource in read_template(template_path)["Resources"].items():
        if resource["Type"] == "AWS::DynamoDB::Table":
            properties = resource["Properties"]
            definitions[logical_id] = {
                "TableName": logical_id,
                "BillingMode": "PAY_PER_REQUEST",
                **{
                    name: properties[name]
                    for name in ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes")
                    if name in properties
                },
            }
    return definitions


def create_tables(client: DynamoDBClient, template_path: Path = TEMPLATE_PATH) -> list[str]:
    """Create the tables of the template that are not there yet, and return all their names."""
    definitions = table_definitions(template_path)
    for definition in definitions.values():
        with contextlib.suppress(client.exceptions.ResourceInUseException):
            client.create_table(**definition)
    return list(definitions)


def empty_tables(client: DynamoDBClient, template_path: Path = TEMPLATE_PATH) -> None:
    """Leave the tables of the template without items."""
    for name, definition in table_definitions(template_path).items():
        key_names = [key["AttributeName"] for key in definition["KeySchema"]]
        keys = client.scan(
            TableName=name,
            Limit=EMPTIED_BY_DELETION + 1,
            ProjectionExpression=", ".join(key_names),
            ConsistentRead=True,
        )["Items"]
        if len(keys) > EMPTIED_BY_DELETION:
            client.delete_table(TableName=name)
            client.create_table(**definition)
            continue
        for start_index in range(0, len(keys), 25):
            deletions: list[WriteRequestTypeDef] = [
                {"DeleteRequest": {"Key": key}} for key in keys[start_index : start_index + 25]
            ]
            client.batch_write_item(RequestItems={name: deletions})
