"""The event's record, the organisation's subscription and its customers: written in one transaction."""

from __future__ import annotations

import time
from dataclasses import fields
from datetime import datetime
from typing import Any

from pynamodb.exceptions import TransactWriteError, UpdateError
from pynamodb.transactions import TransactWrite

from billing.errors import UnavailableError
from billing.settings import grace_period
from billing.tables.customers import claim_customers
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord, is_at_version
from billing.tables.table import client, connection, is_overtaken
from billing.telemetry import logger
from billing.webhooks.choice import Fetched, StoredSubscription, claimed_customers
from billing.webhooks.decision import Reading, changes

# A refresh takes a fraction of a second. Whoever waits longer for one takes it over.
CLAIM_SECONDS = 3.0
CLOCKS_DIFFER_SECONDS = 60.0

_STORED_ATTRIBUTES = tuple(field.name for field in fields(StoredSubscription) if field.name != "is_damaged")


def read(event_id: str, organization_id: str) -> Reading:
    """Read whether the event has a record, and the organisation's record.

    Read consistently: an older record hides a link that is not finished, and no write would find that out.
    """
    events, subscriptions = StripeEventRecord.name(), SubscriptionRecord.name()
    response: Any = client().batch_get_item(
        RequestItems={
            events: {
                "Keys": [{"event_id": {"S": event_id}}],
                "ConsistentRead": True,
                "ProjectionExpression": "event_id",
            },
            subscriptions: {
                "Keys": [{"organization_id": {"S": organization_id}}],
                "ConsistentRead": True,
            },
        }
    )
    if response.get("UnprocessedKeys"):
        raise UnavailableError("DynamoDB left keys unread: it is throttled")
    items = response["Responses"]
    records = [stored(SubscriptionRecord.from_raw_data(item)) for item in items.get(subscriptions, ())]
    return Reading(bool(items.get(events)), records[0] if records else None)


def read_record(organization_id: str) -> StoredSubscription | None:
    """Read the organisation's record alone, consistently."""
    record = SubscriptionRecord.of(organization_id, consistent=True)
    return None if record is None else stored(record)


def stored(record: SubscriptionRecord) -> StoredSubscription:
    """Return a record as a value."""
    values: Any = record.attribute_values
    # Limits are not Stripe's: no fetch mends them.
    damaged = record.damaged - {"thresholds"}
    if damaged:
        logger.error(
            "An organisation's record is damaged; it is fetched from Stripe anew",
            extra={"organization_id": record.organization_id, "attributes": sorted(damaged)},
        )
    return StoredSubscription(**{name: values.get(name) for name in _STORED_ATTRIBUTES}, is_damaged=bool(damaged))


def claim(organization_id: str, record: StoredSubscription | None) -> bool:
    """Claim the refresh of a record, so that others wait for its result; False where another delivery has.

    A claim only saves calls to Stripe: `write` is right with and without it. It ends with the next write, and is void
    after three seconds of real time, so that nobody waits for a delivery that died. Where there is no record yet, none
    is made for it: Stripe may know no such subscription.
    """
    if record is None or record.version is None:
        return True
    now = time.time()
    if now - CLAIM_SECONDS < (record.refreshing_since or 0) <= now + CLOCKS_DIFFER_SECONDS:
        return False
    is_as_read = SubscriptionRecord.version == record.version  # else what this delivery knows is out of date
    is_unclaimed = SubscriptionRecord.refreshing_since.does_not_exist()  # nobody is fetching
    # Whoever was fetching has died, or the claim is of no time that a clock can show.
    since = SubscriptionRecord.refreshing_since
    is_void = (since <= round(now - CLAIM_SECONDS, 3)) | (since > round(now + CLOCKS_DIFFER_SECONDS, 3))
    is_damaged = ~since.is_type()
    try:
        return SubscriptionRecord(organization_id).update_if(
            [SubscriptionRecord.refreshing_since.set(round(now, 3))],
            is_as_read & (is_unclaimed | is_void | is_damaged),
        )
    except UpdateError as error:
        if is_overtaken(error):
            return False
        raise


def write(
    event_record: StripeEventRecord | None,
    organization_id: str,
    before: StoredSubscription | None,
    fetched: Fetched,
    now: datetime,
) -> bool:
    """Write the event's record, what was fetched and whose its customers are: all of it or nothing.

    False where another delivery came first, or another organisation has claimed one of the customers meanwhile. Without
    an event the rest is written.
    """
    event_id = None if event_record is None else event_record.event_id
    values = changes(before, fetched, event_id, now, grace_period())
    is_first_delivery = StripeEventRecord.event_id.does_not_exist()  # else the event has had its effect
    try:
        with TransactWrite(connection=connection()) as transaction:
            transaction.update(
                SubscriptionRecord(organization_id),
                actions=[_action(name, value) for name, value in values.items()],
                condition=_is_as_read(before),
            )
            unclaimed = sorted(set(fetched.customer_ids) - claimed_customers(before))
            claim_customers(transaction, organization_id, unclaimed, now)
            if event_record is not None:
                transaction.save(event_record, condition=is_first_delivery)
    except TransactWriteError as error:
        if is_overtaken(error):
            return False
        raise
    return True


def _action(name: str, value: Any) -> Any:
    attribute: Any = getattr(SubscriptionRecord, name)
    # PynamoDB takes whatever is no list for one element of a list attribute.
    return attribute.remove() if value is None else attribute.set(list(value) if isinstance(value, tuple) else value)


def _is_as_read(before: StoredSubscription | None) -> Any:
    """Return the condition that no delivery has written the record since it was read, nor ended its linking."""
    is_unwritten = is_at_version(before.version if before is not None else None)
    if before is None or before.rearm_from is None:
        return is_unwritten
    # Whoever ends a linking has asked Stripe after this: what was fetched here may be older.
    is_still_linking = SubscriptionRecord.rearm_from == before.rearm_from
    return is_unwritten & is_still_linking
