"""Items that another writer has damaged: every attribute, by a value of every other type and by nonsense of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pynamodb.attributes import Attribute

from billing.tables.table import Table

NONSENSE: tuple[dict[str, Any], ...] = (
    {"S": "nonsense"},
    {"S": "2026-11-23T08:00:00.000Z"},
    {"N": "-1.5"},
    {"N": "1E+100"},
    {"BOOL": True},
    {"L": [{"M": {"meters": {"S": "nonsense"}}}]},
    {"M": {"active_sensors": {"S": "nonsense"}, "temperature_readings": {"N": "0.5"}}},
)
# DynamoDB refuses any other type in the key of an index.
INDEXED = {"due_shard": "N", "due_at": "S", "stripe_customer_id": "S", "access": "S", "access_until": "S"}


def damages(table: type[Table]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a name for each damage, and the attribute that it puts into an item."""
    for attribute in table.get_attributes().values():
        if not attribute.is_hash_key and not attribute.is_range_key:
            for number, value in enumerate(_values(attribute)):
                yield f"{attribute.attr_name}-{number}", {attribute.attr_name: value}


def _values(attribute: Attribute[Any]) -> Iterator[dict[str, Any]]:
    needed = INDEXED.get(attribute.attr_name)
    for value in NONSENSE:
        (type_name,) = value
        if needed in (None, type_name):
            yield value
