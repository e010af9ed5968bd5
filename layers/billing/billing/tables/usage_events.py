"""UsageEventsTable: one item for each usage event that was counted, which makes another delivery a duplicate."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from billing.tables.table import Table

# Longer than an event can be delivered: one that is older than 35 days is refused, and one is counted no earlier than
# five minutes before its time.
KEPT_FOR = timedelta(days=40)
# An item of up to 1 KB costs one unit of writing; a key may have 2 KB.
LONGEST_KEY = 500


class UsageEventRecord(Table):
    """The identity of a usage event that was counted, and what it said; it expires 40 days after it was counted."""

    class Meta:
        """Give PynamoDB the place for the name, which is read at first use."""

        table_name = ""

    environment_variable = "USAGE_EVENTS_TABLE"

    event_key = UnicodeAttribute(hash_key=True)
    content = UnicodeAttribute()
    expires_at = NumberAttribute()


def event_key(source: str, event_id: str) -> str:
    """Return the key of the event with this identity; no two identities have the same.

    As a JSON list, in which no character of the one can be taken for one of the other; a hash of it where it is long.
    """
    text = json.dumps([source, event_id])
    return text if len(text) <= LONGEST_KEY else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def identity_put(key: str, content: str, now: datetime) -> dict[str, Any]:
    """Return the write of an identity, as a part of a transaction that it fails where the identity was there."""
    expires_at = int((now + KEPT_FOR).timestamp())
    return {
        "TableName": UsageEventRecord.name(),
        "Item": {"event_key": {"S": key}, "content": {"S": content}, "expires_at": {"N": str(expires_at)}},
        "ConditionExpression": "attribute_not_exists(event_key)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
