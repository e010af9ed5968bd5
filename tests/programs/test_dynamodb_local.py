"""DynamoDB Local stands in for DynamoDB: what the other tests rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from programs.local import dynamodb_local, tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


def test_tables_have_the_keys_and_indexes_of_the_template(dynamodb: DynamoDBClient) -> None:
    usage = dynamodb.describe_table(TableName="UsageTable")["Table"]

    assert [(key["AttributeName"], key["KeyType"]) for key in usage["KeySchema"]] == [
        ("organization_id", "HASH"),
        ("window_start", "RANGE"),
    ]
    assert [index["IndexName"] for index in usage["GlobalSecondaryIndexes"]] == ["due"]


@pytest.mark.parametrize("item_count", [1, 26, tables.EMPTIED_BY_DELETION + 1])
def test_empty_tables_leaves_nothing(dynamodb: DynamoDBClient, item_count: int) -> None:
    for number in range(item_count):
        key = {"organization_id": {"S": f"org-{number}"}, "window_start": {"S": "2026-11-23T08:00:00Z"}}
        dynamodb.put_item(TableName="UsageTable", Item=key)

    tables.empty_tables(dynamodb)

    assert dynamodb.scan(TableName="UsageTable")["Count"] == 0


def test_processes_with_other_access_keys_see_none_of_this_process_s_tables(
    dynamodb_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebodyelse")

    assert tables.client_for(dynamodb_endpoint).list_tables()["TableNames"] == []


@pytest.mark.enable_socket
def test_a_server_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMODB_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(dynamodb_local, "START_TIMEOUT_SECONDS", 0)

    with pytest.raises(dynamodb_local.DynamoDBLocalUnavailableError, match=r"http://127\.0\.0\.1:1 does not answer"):
        dynamodb_local.start()
