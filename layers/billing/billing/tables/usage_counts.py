"""Counts written into hours of UsageTable: one update an hour, whoever counts, and however much at once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from botocore.exceptions import ClientError

from billing.clock import format_time
from billing.errors import InvalidUsageError
from billing.stripe_limits import LARGEST_VALUE
from billing.tables.table import cancellation_reasons, client
from billing.tables.usage import UsageRecord, end_of, shard_of

# Why a count cannot be written: what the hour has is no number to add to; the sum would be longer than Stripe takes;
# another number of the hour is of a later moment.
Obstacle = Literal["damaged", "full", "older"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What is to be counted in one hour, by meter: what to add to a sum, and the numbers with when they were true."""

    added: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Say whether there is anything to count."""
        return bool(self.added or self.numbers)


def counting_update(organization_id: str, window_start: str, counts: Counts) -> dict[str, Any]:
    """Return the update that writes counts and makes their hour due, as UpdateItem and a transaction take it.

    It is refused as a whole, with the item as it is, where any of the counts meets an `Obstacle`. A number's moment
    (`active_sensors_at`) has whole seconds; of two in one second the one that is written later stands.
    """
    names: dict[str, str] = {}
    values: dict[str, Any] = {":shard": {"N": str(shard_of(organization_id))}, ":end": {"S": end_of(window_start)}}
    sums, changes, conditions = [], ["due_shard = :shard", "due_at = :end"], []
    for position, (name, amount) in enumerate(counts.added.items()):
        count, added, room = f"#sum{position}", f":sum{position}", f":room{position}"
        names[count] = name
        values |= {added: {"N": str(amount)}, room: {"N": str(LARGEST_VALUE - amount)}}
        sums.append(f"{count} {added}")
        # What is no number is not below one either.
        conditions.append(f"(attribute_not_exists({count}) OR {count} <= {room})")
    for position, (name, (number, at)) in enumerate(counts.numbers.items()):
        count, moment, value, now = f"#number{position}", f"#at{position}", f":number{position}", f":at{position}"
        names |= {count: name, moment: f"{name}_at"}
        values |= {value: {"N": str(number)}, now: {"S": format_time(at)}, ":text": {"S": "S"}}
        changes += [f"{count} = {value}", f"{moment} = {now}"]
        # A moment that another writer has damaged is none.
        conditions.append(
            f"(attribute_not_exists({moment}) OR {moment} <= {now} OR NOT attribute_type({moment}, :text))"
        )
    return {
        "TableName": UsageRecord.name(),
        "Key": {"organization_id": {"S": organization_id}, "window_start": {"S": window_start}},
        "UpdateExpression": f"SET {', '.join(changes)}{' ADD ' if sums else ''}{', '.join(sums)}",
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def obstacles(counts: Counts, item: Mapping[str, Any]) -> dict[str, Obstacle]:
    """Return which of the counts an hour's item refuses, by meter, and why."""
    found: dict[str, Obstacle] = {}
    for name, amount in counts.added.items():
        stored = item.get(name)
        if stored is not None and "N" not in stored:
            found[name] = "damaged"
        elif stored is not None and Decimal(stored["N"]) + amount > LARGEST_VALUE:
            found[name] = "full"
    for name, (_, at) in counts.numbers.items():
        if item.get(f"{name}_at", {}).get("S", "") > format_time(at):
            found[name] = "older"
    return found


def add_to_hour(organization_id: str, window_start: str, event_name: str, amount: int, request_token: str) -> None:
    """Add to a count and make its hour due; the same `request_token` again within ten minutes adds nothing.

    DynamoDB remembers the token of a transaction, which a plain `ADD` has not: a lost response, and the client's own
    retry, would count twice.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html

    Raises:
        InvalidUsageError: the token came before with another amount, or the hour has an `Obstacle`.
    """
    token = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{organization_id} {window_start} {event_name} {request_token}"))
    counts = Counts(added={event_name: amount})
    update: Any = counting_update(organization_id, window_start, counts)
    try:
        client().transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken=token)
    except ClientError as error:
        if error.response["Error"]["Code"] == "IdempotentParameterMismatchException":
            text = "The request_token came before with another number: use one for each increment"
            raise InvalidUsageError(text) from error
        found = [obstacles(counts, reason.get("Item", {})).get(event_name) for reason in cancellation_reasons(error)]
        if "damaged" in found:
            text = f"The hour {window_start} of {organization_id} is damaged: its {event_name} is no number to add to"
            raise InvalidUsageError(text) from error
        if "full" in found:
            text = f"The hour {window_start} of {organization_id} would have more than 15 digits of {event_name}"
            raise InvalidUsageError(text) from error
        raise


def set_in_hour(organization_id: str, window_start: str, event_name: str, number: int, at: datetime) -> None:
    """Set a count that was true `at` a moment, and make its hour due; nothing where a later one stands."""
    counts = Counts(numbers={event_name: (number, at)})
    try:
        client().update_item(**counting_update(organization_id, window_start, counts))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
