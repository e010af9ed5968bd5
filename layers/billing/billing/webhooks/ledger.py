"""The event's record and the organisation's subscription: read in one call, written in one transaction."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from billing.clock import hour_of
from billing.errors import UnavailableError
from billing.stripe_gateway.objects import StripeSubscription
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import client

# A refresh takes a fraction of a second. Whoever waits longer for one takes it over.
CLAIM_SECONDS = 3.0
# What DynamoDB answers where another delivery has written, or is writing, the same items.
_OVERTAKEN = frozenset(
    {
        "ConditionalCheckFailed",
        "ConditionalCheckFailedException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Hold what a refresh found out: the subscription to follow, and when it began to ask."""

    subscription: StripeSubscription
    customer_ids: Collection[str]
    fetched_at: datetime


def read(event_id: str, organization_id: str, *, consistent: bool) -> tuple[bool, SubscriptionRecord | None]:
    """Say whether the event has a record, and return the organisation's.

    An eventually consistent read may miss either; the transaction's conditions find that out.
    """
    events, subscriptions = StripeEventRecord.name(), SubscriptionRecord.name()
    answer: Any = client().batch_get_item(
        RequestItems={
            events: {
                "Keys": [{"event_id": {"S": event_id}}],
                "ConsistentRead": consistent,
                "ProjectionExpression": "event_id",
            },
            subscriptions: {
                "Keys": [_key(organization_id)],
                "ConsistentRead": consistent,
            },
        }
    )
    if answer.get("UnprocessedKeys"):
        raise UnavailableError("DynamoDB left keys unread: it is throttled")
    found = answer["Responses"]
    records = [SubscriptionRecord.from_raw_data(item) for item in found.get(subscriptions, ())]
    return bool(found.get(events)), records[0] if records else None


def version_of(record: SubscriptionRecord | None) -> int:
    """Return the record's version; 0 where nothing was written yet."""
    return int(record.version) if record is not None and record.version is not None else 0


def claim(organization_id: str, record: SubscriptionRecord | None) -> bool:
    """Claim the refresh of a record, so that others wait for its result; False where another delivery has.

    A claim only saves calls to Stripe: `write` is right with and without it. It ends with the next write, and is void
    after three seconds of real time, so that nobody waits for a delivery that died. Where there is no record yet, none
    is made for it: Stripe may know no such subscription.
    """
    if record is None or record.version is None:
        return True
    now = time.time()
    if (record.refreshing_since or 0) > now - CLAIM_SECONDS:
        return False
    try:
        client().update_item(
            TableName=SubscriptionRecord.name(),
            Key=_key(organization_id),
            UpdateExpression="SET refreshing_since = :now",
            ConditionExpression="version = :version "
            "AND (attribute_not_exists(refreshing_since) OR refreshing_since <= :void)",
            ExpressionAttributeValues={
                ":now": {"N": f"{now:.3f}"},
                ":void": {"N": f"{now - CLAIM_SECONDS:.3f}"},
                ":version": {"N": str(int(record.version))},
            },
        )
    except ClientError as error:
        if _OVERTAKEN.isdisjoint(_codes(error)):
            raise
        return False
    return True


def write(
    event_record: StripeEventRecord | None,
    organization_id: str,
    before: SubscriptionRecord | None,
    fetched: Fetched,
    now: datetime,
) -> bool:
    """Write the event's record and the subscription, both or neither; False where either has been written since.

        read `before` (version 7) ──► fetch from Stripe ──► write, if still version 7 ──► version 8
                                                            and the event has no record

    Where another delivery has written version 8 in between, what was fetched here may be older than that: it is
    thrown away. Without an event only the subscription is written.
    """
    update = _update(before, fetched, event_record, now)
    writes: list[Any] = [{"Update": {**update, "TableName": SubscriptionRecord.name(), "Key": _key(organization_id)}}]
    if event_record is not None:
        record = {
            "TableName": StripeEventRecord.name(),
            "Item": event_record.serialize(),
            "ConditionExpression": "attribute_not_exists(event_id)",
        }
        writes.append({"Put": record})
    try:
        client().transact_write_items(TransactItems=writes)
    except ClientError as error:
        if _OVERTAKEN.isdisjoint(_codes(error)):
            raise
        return False
    return True


def _key(organization_id: str) -> dict[str, Any]:
    return {"organization_id": {"S": organization_id}}


def _codes(error: ClientError) -> set[str]:
    response: Any = error.response
    return {response["Error"]["Code"], *(reason.get("Code") for reason in response.get("CancellationReasons", ()))}


def links_anew(before: SubscriptionRecord | None, fetched: Fetched) -> bool:
    """Say whether refused hours may have become billable: another customer or subscription, or one living again."""
    now = fetched.subscription
    return (
        before is None
        or before.stripe_customer_id != now.customer_id
        or before.stripe_subscription_id != now.subscription_id
        or (before.ended_at is not None and now.ended_at is None)
    )


def is_reflected(before: SubscriptionRecord | None, fetched: Fetched) -> bool:
    """Say whether the record already holds what was fetched."""
    return before is not None and all(getattr(before, name) == value for name, value in _attributes(fetched).items())


def _attributes(fetched: Fetched) -> dict[str, Any]:
    subscription = fetched.subscription
    return {
        "stripe_customer_id": subscription.customer_id,
        "stripe_subscription_id": subscription.subscription_id,
        "status": subscription.status,
        "current_period_start": subscription.current_period_start,
        "current_period_end": subscription.current_period_end,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "started_at": subscription.started_at,
        "ended_at": subscription.ended_at,
        "price_ids": list(subscription.price_ids),
        "customer_ids": set(fetched.customer_ids),
    }


def _update(
    before: SubscriptionRecord | None, fetched: Fetched, event_record: StripeEventRecord | None, now: datetime
) -> dict[str, Any]:
    """Return the expressions of the subscription's update, and of its condition: nobody has written since `before`.

    So what is as it was before need not be written: the rest fits into a call that costs less time.
    """
    values: dict[str, Any] = {
        **{name: value for name, value in _attributes(fetched).items() if getattr(before, name, None) != value},
        "fetched_at": fetched.fetched_at,
        "fetched_from": version_of(before),
        "version": version_of(before) + 1,
        "updated_at": now,
    }
    if before is None or before.created_at is None:
        values["created_at"] = now
    if event_record is not None:
        values["last_event_id"] = event_record.event_id
    if links_anew(before, fetched):
        values["rearm_from"] = hour_of(fetched.subscription.started_at)
    # `status` is a word of DynamoDB's own, so that every name is written as `#name`.
    present = [name for name, value in values.items() if value is not None]
    sets = [f"#{name} = :{name}" for name in present]
    removes = ["refreshing_since", *(f"#{name}" for name in values if name not in present)]
    conditions, seen = ["attribute_not_exists(version)"], {}
    if before is not None and before.version is not None:
        conditions, seen = ["#version = :seen"], {":seen": _raw("version", before.version)}
    if before is not None and before.rearm_from is not None:
        # Whoever ends a linking has asked Stripe after this: what was fetched here may be older.
        conditions.append("rearm_from = :linking")
        seen[":linking"] = _raw("rearm_from", before.rearm_from)
    return {
        "UpdateExpression": f"SET {', '.join(sets)} REMOVE {', '.join(removes)}",
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {f"#{name}": name for name in values},
        "ExpressionAttributeValues": {f":{name}": _raw(name, values[name]) for name in present} | seen,
    }


def _raw(name: str, value: Any) -> dict[str, Any]:
    attribute = SubscriptionRecord.get_attributes()[name]
    return {attribute.attr_type: attribute.serialize(value)}
