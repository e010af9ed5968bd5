"""House rules for what is kept: the tables are the Contract's, encrypted, and survive the stack."""

from __future__ import annotations

from typing import Any

import pytest

from billing.tables.stripe_events import StripeEventRecord
from billing.tables.table import Table
from billing.tables.usage_events import UsageEventRecord
from programs.local.cloudformation import read_template
from tests.template.expanded import expand, referred
from tests.template.permissions import GRANTED

TABLES: dict[str, list[tuple[str, str, str]]] = {
    "SubscriptionsTable": [("organization_id", "S", "HASH")],
    "CustomersTable": [("stripe_customer_id", "S", "HASH")],
    "StripeEventsTable": [("event_id", "S", "HASH")],
    "UsageEventsTable": [("event_key", "S", "HASH")],
    "UsageTable": [("organization_id", "S", "HASH"), ("window_start", "S", "RANGE")],
    "PeriodsTable": [("organization_id", "S", "HASH"), ("period", "S", "RANGE")],
}
INDEXES: dict[str, dict[str, list[tuple[str, str, str]]]] = {
    "SubscriptionsTable": {
        "by_customer": [("stripe_customer_id", "S", "HASH")],
        "access_ends": [("access", "S", "HASH"), ("access_until", "S", "RANGE")],
    },
    "CustomersTable": {},
    "StripeEventsTable": {},
    "UsageEventsTable": {},
    "UsageTable": {"due": [("due_shard", "N", "HASH"), ("due_at", "S", "RANGE")]},
    "PeriodsTable": {"drafts": [("draft_shard", "N", "HASH"), ("finalizes_at", "S", "RANGE")]},
}


def _keys(definition: dict[str, Any], table: dict[str, Any]) -> list[tuple[str, str, str]]:
    types = {item["AttributeName"]: item["AttributeType"] for item in table["AttributeDefinitions"]}
    return [(key["AttributeName"], types[key["AttributeName"]], key["KeyType"]) for key in definition["KeySchema"]]


def test_the_tables_are_those_of_the_contract() -> None:
    assert set(expand().of_type("AWS::DynamoDB::Table")) == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_table_has_the_keys_and_indexes_of_the_contract(name: str) -> None:
    table = expand().properties(name)
    indexes = {index["IndexName"]: _keys(index, table) for index in table.get("GlobalSecondaryIndexes", [])}

    assert _keys(table, table) == TABLES[name]
    assert indexes == INDEXES[name]


@pytest.mark.parametrize("name", ["UsageTable", "PeriodsTable"])
def test_an_index_of_what_is_to_be_done_holds_keys_only(name: str) -> None:
    (index,) = expand().properties(name)["GlobalSecondaryIndexes"]

    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


@pytest.mark.parametrize("name", TABLES)
def test_table_is_on_demand_encrypted_and_recoverable(name: str) -> None:
    table = expand().properties(name)

    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parametrize("name", [*TABLES, "StripeSecret"])
def test_what_cannot_be_made_again_is_kept_when_the_stack_is_deleted_or_changed(name: str) -> None:
    resource = expand().resources[name]

    # Where a first deployment fails there is nothing to keep, and the next one would only find it in its way.
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


@pytest.mark.parametrize("name", TABLES)
def test_table_is_protected_from_deletion_in_production_only(name: str) -> None:
    assert expand(Environment="prod").properties(name)["DeletionProtectionEnabled"] is True
    assert expand(Environment="dev").properties(name)["DeletionProtectionEnabled"] is False


@pytest.mark.parametrize(
    ("name", "record"), [("StripeEventsTable", StripeEventRecord), ("UsageEventsTable", UsageEventRecord)]
)
def test_event_records_expire_by_the_attribute_that_the_code_writes(name: str, record: type[Table]) -> None:
    specification = expand().properties(name)["TimeToLiveSpecification"]

    assert specification == {"AttributeName": "expires_at", "Enabled": True}
    assert "expires_at" in record.get_attributes()


def test_no_table_is_named_so_that_two_stacks_do_not_collide() -> None:
    for name in TABLES:
        assert "TableName" not in expand().properties(name)


def test_the_secret_holds_no_key_until_somebody_fills_it() -> None:
    assert expand().properties("StripeSecret")["SecretString"] == '{"api_key": "", "webhook_secrets": []}'


def test_no_parameter_carries_a_secret() -> None:
    for name, parameter in read_template()["Parameters"].items():
        assert not {"secret", "password", "key"} & set(name.lower().split("_")), name
        assert "NoEcho" not in parameter


@pytest.mark.parametrize("queue", expand().of_type("AWS::SQS::Queue"))
def test_every_queue_is_encrypted(queue: str) -> None:
    assert expand().properties(queue)["SqsManagedSseEnabled"] is True


def mappings(source: str) -> list[str]:
    """Return the event sources that are queues, or streams."""
    template = expand(MeteringWorkers="2")
    return [
        name
        for name, mapping in template.of_type("AWS::Lambda::EventSourceMapping").items()
        if template.resources[referred(mapping["Properties"]["EventSourceArn"])]["Type"] == source
    ]


@pytest.mark.parametrize("mapping", mappings("AWS::DynamoDB::Table"))
def test_a_stream_is_told_from_its_first_record_on_and_given_up_long_before_it_forgets(mapping: str) -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
    source = expand().properties(mapping)
    table = expand().properties(referred(source["EventSourceArn"]))

    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert source["StartingPosition"] == "TRIM_HORIZON"
    assert (source["FunctionResponseTypes"], source["BisectBatchOnFunctionError"]) == (
        ["ReportBatchItemFailures"],
        True,
    )
    assert 3600 <= source["MaximumRecordAgeInSeconds"] <= 12 * 3600
    assert "MaximumRetryAttempts" not in source, "as often as it takes, in that time"
    assert referred(source["DestinationConfig"]["OnFailure"]["Destination"]) == "BillingEventsDeadLetterQueue"


def test_the_streams_are_those_of_what_a_product_hears_of() -> None:
    tables = {referred(expand().properties(name)["EventSourceArn"]) for name in mappings("AWS::DynamoDB::Table")}
    streamed = {name for name in TABLES if "StreamSpecification" in expand().properties(name)}

    assert tables == streamed == {"SubscriptionsTable", "PeriodsTable", "UsageTable"}


@pytest.mark.parametrize("mapping", mappings("AWS::SQS::Queue"))
def test_a_queue_hides_messages_six_times_as_long_as_its_function_may_run(mapping: str) -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-queueconfig
    template = expand(MeteringWorkers="2")
    source = template.properties(mapping)
    queue = template.properties(referred(source["EventSourceArn"]))
    function = template.properties(referred(source["FunctionName"]))

    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"] + source.get("MaximumBatchingWindowInSeconds", 0)
    # So long does a message wait that failed or was throttled: not beyond the next hour's run.
    assert queue["VisibilityTimeout"] <= 30 * 60
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert int(source["ScalingConfig"]["MaximumConcurrency"]) >= 2
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5
    # Code that sends messages to the queue that starts it is taken for a loop by Lambda after 16 rounds.
    # https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    starts_itself = "sqs:SendMessage" in GRANTED[referred(source["FunctionName"])][referred(source["EventSourceArn"])]
    assert function.get("RecursiveLoop") == ("Allow" if starts_itself else None)


def test_a_message_of_usage_fits_the_dead_letter_queue_however_its_events_are_written_there() -> None:
    sent, rejected = (
        expand().properties(name)["MaximumMessageSize"] for name in ("UsageQueue", "UsageDeadLetterQueue")
    )

    # 1e15, with a comma, becomes 1000000000000000.0, with a comma: no other character or number grows as much.
    assert sent * 19 / 5 + 50_000 <= rejected


def test_the_metering_queue_keeps_a_shard_s_messages_in_order_and_the_others_moving() -> None:
    queue = expand().properties("UsageMeteringQueue")

    assert queue["FifoQueue"] is True
    assert (queue["DeduplicationScope"], queue["FifoThroughputLimit"]) == ("messageGroup", "perMessageGroupId")
    assert "${AWS::StackName}" in queue["QueueName"]["Fn::Sub"]
