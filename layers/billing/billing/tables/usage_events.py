"""UsageEventsTable: one item for each usage event that was counted, which makes another delivery a duplicate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from json.encoder import (
    encode_basestring_ascii as json_text,
)  # what `json.dumps` makes of a text, at a third of the time
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
    text = f"[{json_text(source)}, {json_text(event_id)}]"
    return text if len(text) <= LONGEST_KEY else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def identity_puts(contents: Iterable[tuple[str, str]], now: datetime) -> list[dict[str, Any]]:
    """Return the writes of identities (each a key and what the event said), as parts of a transaction.

    It is refused as a whole, with the items as they are, where any of the identities was there.
    """
    table_name = UsageEventRecord.name()
    expires_at = {"N": str(int((now + KEPT_FOR).timestamp()))}
    return [
        {
            "Put": {
                "TableName": table_name,
                "Item": {"event_key": {"S": key}, "content": {"S": content}, "expires_at": expires_at},
                "ConditionExpression": "attribute_not_exists(event_key)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
        for key, content in contents
    ]
