"""The plain way to count a usage event once, and what DynamoDB charges for the function's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from programs.benchmarks.calls import Call


def count_plainly(client: Any, body: str) -> None:
    """Count a message's events, each in a transaction of its own: its identity, and its value."""
    for event in json.loads(body):
        _count_plainly(client, event)


def _count_plainly(client: Any, event: dict[str, Any]) -> None:
    from billing.clock import format_time, hour_of
    from billing.tables.usage import end_of, shard_of

    window_start = format_time(hour_of(datetime.fromisoformat(event["time"])))
    identity = {"event_key": {"S": f"{event['source']} {event['id']}"}, "expires_at": {"N": str(int(time.time()))}}
    try:
        client.transact_write_items(
            TransactItems=[
                {
                    "Put": {
                        "TableName": "UsageEventsTable",
                        "Item": identity,
                        "ConditionExpression": "attribute_not_exists(event_key)",
                    }
                },
                {
                    "Update": {
                        "TableName": "UsageTable",
                        "Key": {"organization_id": {"S": event["subject"]}, "window_start": {"S": window_start}},
                        "UpdateExpression": "SET due_shard = :shard, due_at = :end ADD #count :value",
                        "ExpressionAttributeNames": {"#count": event["type"]},
                        "ExpressionAttributeValues": {
                            ":shard": {"N": str(shard_of(event["subject"]))},
                            ":end": {"S": end_of(window_start)},
                            ":value": {"N": str(event["data"]["value"])},
                        },
                    }
                },
            ]
        )
    except client.exceptions.TransactionCanceledException as error:
        if error.response["CancellationReasons"][0]["Code"] != "ConditionalCheckFailed":
            raise


def write_units(calls: Iterable[Call]) -> int:
    """Return what DynamoDB charges for transactions: two units for each item of up to 1 KB.

    And one for each hour that gets into the index of due hours. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
    """
    parts = [part for _, (_, request) in calls for part in request["TransactItems"]]
    hours = {
        (key["organization_id"]["S"], key["window_start"]["S"])
        for part in parts
        if "Update" in part
        for key in [part["Update"]["Key"]]
    }
    return 2 * len(parts) + len(hours)
