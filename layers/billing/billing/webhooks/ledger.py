"""The event's record and the organisation's subscription: read in one call, written in one transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from billing.clock import hour_of
from billing.errors import UnavailableError
from billing.stripe_gateway import StripeSubscription
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import client, connection


class Written(Enum):
    """Say how a transaction ended."""

    YES = auto()
    EVENT_HAD_A_RECORD = auto()
    SUBSCRIPTION_HAD_CHANGED = auto()


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
                "Keys": [{"organization_id": {"S": organization_id}}],
                "ConsistentRead": consistent,
            },
        }
    )
    if answer.get("UnprocessedKeys"):
        raise UnavailableError("DynamoDB left keys unread: it is throttled")
    found = answer["Responses"]
    records = [SubscriptionRecord.from_raw_data(item) for item in found.get(subscriptions, ())]
    return bool(found.get(events)), records[0] if records else None


def write(
    event_record: StripeEventRecord | None,
    organization_id: str,
    before: SubscriptionRecord | None,
    fetched: Fetched,
    now: datetime,
) -> Written:
    """Write the event's record and the subscription, both or neither.

        read `before` (version 7) ──► fetch from Stripe ──► write, if still version 7 ──► version 8
                                                            and the event has no record

    Where another delivery has written version 8 in between, what was fetched here may be older than that: it is
    thrown away. Without an event only the subscription is written.

    Raises:
        UnavailableError: DynamoDB asks to come again.
    """
    try:
        with TransactWrite(connection=connection()) as transaction:
            if event_record is not None:
                transaction.save(event_record, condition=StripeEventRecord.event_id.does_not_exist())
            transaction.update(
                SubscriptionRecord(organization_id),
                actions=_changes(before, fetched, event_record, now),
                condition=_unchanged_since(before),
            )
    except TransactWriteError as error:
        return _why(error, has_event=event_record is not None)
    return Written.YES


def _unchanged_since(before: SubscriptionRecord | None) -> Any:
    if before is None:
        return SubscriptionRecord.organization_id.does_not_exist()
    if before.version is None:
        return SubscriptionRecord.version.does_not_exist()
    return SubscriptionRecord.version == before.version


def _why(error: TransactWriteError, *, has_event: bool) -> Written:
    codes = [reason.code if reason else None for reason in error.cancellation_reasons]
    if has_event and codes[:1] == ["ConditionalCheckFailed"]:
        return Written.EVENT_HAD_A_RECORD
    if "ConditionalCheckFailed" in codes or "TransactionConflict" in codes:
        return Written.SUBSCRIPTION_HAD_CHANGED
    if error.cause_response_code in ("TransactionInProgressException", "TransactionConflictException"):
        return Written.SUBSCRIPTION_HAD_CHANGED
    raise error


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


def _changes(
    before: SubscriptionRecord | None, fetched: Fetched, event_record: StripeEventRecord | None, now: datetime
) -> list[Any]:
    values: dict[str, Any] = {
        **_attributes(fetched),
        "fetched_at": fetched.fetched_at,
        "version": int((before.version if before is not None else None) or 0) + 1,
        "updated_at": now,
    }
    if event_record is not None:
        values["last_event_id"] = event_record.event_id
    if links_anew(before, fetched):
        values["rearm_from"] = hour_of(fetched.subscription.started_at)
    changes: list[Any] = [SubscriptionRecord.created_at.set(SubscriptionRecord.created_at | now)]
    for name, value in values.items():
        attribute = getattr(SubscriptionRecord, name)
        changes.append(attribute.remove() if value is None else attribute.set(value))
    return changes
