"""What moto's CloudFormation is taught: tables in DynamoDB Local, secrets, and names for what it does not know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from moto.awslambda.models import LayerVersion
from moto.cloudformation.parsing import NULL_MODELS, get_model_map
from moto.core.common_models import CloudFormationModel

from programs.local.tables import client_for

TABLE, SECRET = "AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"
EVENT_SOURCE = "AWS::Lambda::EventSourceMapping"
# What DynamoDB Local takes of a table's properties; encryption, backups and tags it has not.
TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "StreamSpecification",
)


class StandIn(CloudFormationModel):
    """A resource of a type that the emulator does not know: it has a name, and nothing behind it."""

    def __init__(self, name: str) -> None:
        self.physical_resource_id = name

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
    ) -> Any:
        return cls(resource_name)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> Any:
        return original_resource

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return True

    def get_cfn_attribute(self, attribute: str) -> str:
        return f"{self.physical_resource_id}.{attribute}"

    def is_created(self) -> bool:
        return True

    def delete(self, account_id: str, region_name: str) -> None:
        """Leave nothing, as there was nothing."""


class EventSource(StandIn):
    """A function's queue: moto would take each message off it at once, and only pretend to invoke the function."""


class Secret(StandIn):
    """A secret of moto's Secrets Manager. An update that leaves `SecretString` alone leaves the text alone."""

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
    ) -> Secret:
        text = cloudformation_json["Properties"]["SecretString"]
        created = _secrets(account_id, region_name)._add_secret(resource_name, secret_string=text)
        return cls(created[0].arn)

    def delete(self, account_id: str, region_name: str) -> None:
        _secrets(account_id, region_name).delete_secret(self.physical_resource_id, 30, False)


def _secrets(account_id: str, region_name: str) -> Any:
    from moto.secretsmanager.models import secretsmanager_backends

    return secretsmanager_backends[account_id][region_name]


class LocalTable(StandIn):
    """A table of DynamoDB Local: moto does not understand the code's conditional PartiQL updates."""

    endpoint: str

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
    ) -> LocalTable:
        client_for(cls.endpoint).create_table(TableName=resource_name, **_wanted(cloudformation_json))
        return cls(resource_name)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> Any:
        """Give the table the stream and the indexes that it lacks; its items stay."""
        client, name = client_for(cls.endpoint), original_resource.physical_resource_id
        wanted, table = _wanted(cloudformation_json), client.describe_table(TableName=name)["Table"]
        if "StreamSpecification" in wanted and "StreamSpecification" not in table:
            client.update_table(TableName=name, StreamSpecification=wanted["StreamSpecification"])
        there = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ())}
        for index in wanted.get("GlobalSecondaryIndexes", ()):
            if index["IndexName"] not in there:
                client.update_table(
                    TableName=name,
                    AttributeDefinitions=wanted["AttributeDefinitions"],
                    GlobalSecondaryIndexUpdates=[{"Create": index}],
                )
        return original_resource

    def get_cfn_attribute(self, attribute: str) -> str:
        table: Any = client_for(self.endpoint).describe_table(TableName=self.physical_resource_id)["Table"]
        arn: str = table["TableArn"]
        # moto makes what is new before it updates what is there: the stream of this table may be yet to come.
        return arn if attribute == "Arn" else table.get("LatestStreamArn", f"{arn}/stream/to-come")

    def delete(self, account_id: str, region_name: str) -> None:
        client_for(self.endpoint).delete_table(TableName=self.physical_resource_id)


def _wanted(cloudformation_json: dict[str, Any]) -> Any:
    """Return what DynamoDB takes of a table's properties, which CloudFormation writes otherwise for a stream alone."""
    properties = cloudformation_json["Properties"]
    wanted = {name: properties[name] for name in TABLE_PROPERTIES if name in properties}
    if "StreamSpecification" in wanted:
        wanted["StreamSpecification"] = {"StreamEnabled": True, **wanted["StreamSpecification"]}
    return wanted


@contextlib.contextmanager
def taught(dynamodb_endpoint: str) -> Iterator[None]:
    """Let moto's CloudFormation make tables in DynamoDB Local, and secrets, and refer to layers."""
    here = type("LocalTableHere", (LocalTable,), {"endpoint": dynamodb_endpoint})
    name = property(lambda layer: layer.arn)
    with (
        mock.patch.dict(get_model_map(), {TABLE: here, SECRET: Secret, EVENT_SOURCE: EventSource}),
        mock.patch.object(LayerVersion, "physical_resource_id", name, create=True),
    ):
        yield


def stand_in_for(types: set[str]) -> set[str]:
    """Let moto give a name to a resource of a type that it does not know; return these types."""
    unknown = {each for each in types if each not in get_model_map() and each not in NULL_MODELS}
    known: Any = get_model_map()
    known.update(dict.fromkeys(unknown, StandIn))
    return {each for each in types if known.get(each) is StandIn}
