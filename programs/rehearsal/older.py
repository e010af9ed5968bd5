"""Items as older versions than the one before wrote them, and nobody has written since."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from programs.rehearsal.deployment import Deployment

# What metering has written into an hour since the first version, beside what was reported and to whom.
YOUNGER = ("version", "reported_under", "others_until", "doubt_until", "stamped_from", "active_sensors_at")


def list_record(deployment: Deployment, organization_id: str) -> None:
    """Write the subscriptions as a list of maps, which were not known by their periods."""
    record = _record(deployment, organization_id)
    record["metered_subscriptions"] = {
        "L": [
            {
                "M": {
                    "subscription_id": {"S": each["subscription_id"]},
                    "customer_id": {"S": each["customer_id"]},
                    "started_at": {"S": each["started_at"]},
                    "meters": {"L": [{"S": meter} for meter in each["meters"]]},
                }
            }
            for each in json.loads(record["metered_subscriptions"]["S"])
        ]
    }
    _put(deployment, "SubscriptionsTableName", record)


def bare_record(deployment: Deployment, organization_id: str) -> None:
    """Take away what a record remembers of each subscription: it knows the one it follows."""
    record = _record(deployment, organization_id)
    del record["metered_subscriptions"]
    _put(deployment, "SubscriptionsTableName", record)


def unclaimed_customer(deployment: Deployment, organization_id: str) -> None:
    """Take away the customer's item, and that the record knows of it."""
    record = _record(deployment, organization_id)
    del record["customers_claimed"]
    _put(deployment, "SubscriptionsTableName", record)
    key = {"stripe_customer_id": record["stripe_customer_id"]}
    table = deployment.outputs()["CustomersTableName"]
    deployment.emulator.client("dynamodb").delete_item(TableName=table, Key=key)


def bare_hours(deployment: Deployment, organization_id: str) -> None:
    """Take away what the first version did not write into an hour."""
    database, table = deployment.emulator.client("dynamodb"), deployment.outputs()["UsageTableName"]
    for item in database.scan(TableName=table)["Items"]:
        if item["organization_id"]["S"] == organization_id:
            _put(deployment, "UsageTableName", {name: item[name] for name in item.keys() - set(YOUNGER)})


def _record(deployment: Deployment, organization_id: str) -> dict[str, Any]:
    table = deployment.outputs()["SubscriptionsTableName"]
    key = {"organization_id": {"S": organization_id}}
    return dict(deployment.emulator.client("dynamodb").get_item(TableName=table, Key=key)["Item"])


def _put(deployment: Deployment, output: str, item: Mapping[str, Any]) -> None:
    deployment.emulator.client("dynamodb").put_item(TableName=deployment.outputs()[output], Item=item)


OLDER: Mapping[str, Callable[[Deployment, str], None]] = {
    "list-record": list_record,
    "bare-record": bare_record,
    "unclaimed-customer": unclaimed_customer,
    "bare-hours": bare_hours,
}
"""By the organisation to which it is done."""
