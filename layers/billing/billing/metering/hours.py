"""Due hours as metering meets them: listed, read, declared, settled, refused; all of it in batches.

A `BatchExecuteStatement` with 25 conditional updates costs a tenth of the processor time of 25 `UpdateItem` calls, and
each statement succeeds or fails on its own.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from billing.clock import format_time, parse_time
from billing.errors import UnavailableError
from billing.meters import METERS
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import client, is_transient_code
from billing.tables.usage import SHARDS, UsageRecord

READ_BATCH = 100
WRITE_BATCH = 25
# A transaction takes 100 items; one is the check of the subscription.
REFUSE_BATCH = 99

Item = TypeVar("Item")

Key = tuple[str, str]
"""The organisation's id and the hour's start."""


@dataclass(frozen=True, slots=True)
class UsageHour:
    """Hold an hour as it was read.

    `counts` has one raw DynamoDB value for each meter that was counted; they are compared as they were read, so that
    a change in between is seen whatever the value is.
    """

    organization_id: str
    window_start: str
    counts: Mapping[str, Mapping[str, Any]]
    revision: int | None
    reported: Mapping[str, int]
    reported_to: str | None
    sending: Mapping[str, int] | None
    sending_since: str
    doubt_until: str

    @property
    def key(self) -> Key:
        """Return the hour's key in the table."""
        return self.organization_id, self.window_start


@dataclass(frozen=True, slots=True)
class Declaration:
    """Hold what is to be sent for an hour.

    `totals` has every meter's total, `revision` is the one they are sent under; `doubt_until` is empty, or the moment
    until which an older total may still reach Stripe.
    """

    hour: UsageHour
    totals: Mapping[str, int]
    customer_id: str
    revision: int
    doubt_until: str


def list_due(shard: int, until: datetime) -> Iterator[list[Key]]:
    """Yield the keys of a shard's hours that ended by `until`, oldest first, at most 100 at a time."""
    start: dict[str, Any] = {}
    while True:
        page = client().query(
            TableName=UsageRecord.name(),
            IndexName="due",
            KeyConditionExpression="due_shard = :shard AND due_at <= :until",
            ExpressionAttributeValues={":shard": {"N": str(shard)}, ":until": {"S": format_time(until)}},
            Limit=READ_BATCH,
            **start,
        )
        keys = [(item["organization_id"]["S"], item["window_start"]["S"]) for item in page["Items"]]
        if keys:
            yield keys
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def list_due_fairly(shards: Sequence[int], until: datetime) -> Iterator[Key]:
    """Yield the due hours of several shards, a page of each in turn, so that no shard waits for all of another."""
    pages = [list_due(shard, until) for shard in shards]
    while pages:
        for shard_pages in tuple(pages):
            page = next(shard_pages, None)
            if page is None:
                pages.remove(shard_pages)
            else:
                yield from page


def oldest_due() -> datetime | None:
    """Return when the oldest due hour ended, over all shards; None where no hour is due."""
    ends = []
    for shard in range(SHARDS):
        page = client().query(
            TableName=UsageRecord.name(),
            IndexName="due",
            KeyConditionExpression="due_shard = :shard",
            ExpressionAttributeValues={":shard": {"N": str(shard)}},
            Limit=1,
        )
        ends += [item["due_at"]["S"] for item in page["Items"]]
    return parse_time(min(ends)) if ends else None


def read_hours(keys: Sequence[Key]) -> list[UsageHour]:
    """Read at most 100 hours in one call, consistently; hours that are gone are left out."""
    wanted: Any = {
        UsageRecord.name(): {
            "Keys": [{"organization_id": {"S": key[0]}, "window_start": {"S": key[1]}} for key in keys],
            "ConsistentRead": True,
        }
    }
    hours: list[UsageHour] = []
    for _ in range(5):
        answer: Any = client().batch_get_item(RequestItems=wanted)
        hours += [_hour(item) for item in answer["Responses"].get(UsageRecord.name(), ())]
        wanted = answer.get("UnprocessedKeys")
        if not wanted:
            return hours
    raise UnavailableError("DynamoDB keeps leaving keys of the usage table unread: it is throttled")


def _hour(item: Mapping[str, Any]) -> UsageHour:
    revision, sending = item.get("revision"), item.get("sending")
    return UsageHour(
        organization_id=item["organization_id"]["S"],
        window_start=item["window_start"]["S"],
        counts={meter.event_name: item[meter.event_name] for meter in METERS if meter.event_name in item},
        revision=int(revision["N"]) if revision else None,
        reported=_numbers(item.get("reported")),
        reported_to=item["reported_to"]["S"] if "reported_to" in item else None,
        sending=_numbers(sending) if sending else None,
        sending_since=item["sending_since"]["S"] if "sending_since" in item else "",
        doubt_until=item["doubt_until"]["S"] if "doubt_until" in item else "",
    )


def _numbers(attribute: Mapping[str, Any] | None) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in attribute["M"].items()} if attribute else {}


def _map(numbers: Mapping[str, int]) -> dict[str, Any]:
    return {"M": {name: {"N": str(number)} for name, number in numbers.items()}}


class _Statement:
    """Put a conditional PartiQL update of one hour together."""

    def __init__(self, hour: UsageHour) -> None:
        self.hour = hour
        self.changes: list[str] = []
        self.conditions: list[str] = ["organization_id=?", "window_start=?"]
        self.set_values: list[Any] = []
        self.where_values: list[Any] = [{"S": hour.organization_id}, {"S": hour.window_start}]

    def set(self, name: str, value: Mapping[str, Any]) -> _Statement:
        self.changes.append(f"SET {name}=?")
        self.set_values.append(value)
        return self

    def remove(self, *names: str) -> _Statement:
        self.changes += [f"REMOVE {name}" for name in names]
        return self

    def only_if(self, name: str, value: Mapping[str, Any] | None) -> _Statement:
        """Require that an attribute has this value, or (None) that it is not there."""
        if value is None:
            self.conditions.append(f"{name} IS MISSING")
        else:
            self.conditions.append(f"{name}=?")
            self.where_values.append(value)
        return self

    def only_if_due(self) -> _Statement:
        self.conditions.append("due_at IS NOT MISSING")
        return self

    def request(self) -> dict[str, Any]:
        changes, conditions = " ".join(self.changes), " AND ".join(self.conditions)
        return {
            "Statement": f'UPDATE "{UsageRecord.name()}" {changes} WHERE {conditions}',
            "Parameters": [*self.set_values, *self.where_values],
        }


def _number_or_missing(number: int | None) -> dict[str, Any] | None:
    return None if number is None else {"N": str(number)}


def declaring(declaration: Declaration, now: datetime) -> dict[str, Any]:
    """Return the statement that declares totals before they are sent (step 1)."""
    hour = declaration.hour
    statement = (
        _Statement(hour)
        .set("sending", _map(declaration.totals))
        .set("sending_since", {"S": format_time(now)})
        .set("revision", {"N": str(declaration.revision)})
        .set("reported_to", {"S": declaration.customer_id})
        .remove("refused")
        .only_if("revision", _number_or_missing(hour.revision))
        .only_if_due()
    )
    if hour.sending is not None:
        # An earlier sender of other totals: whether Stripe has them is unknown.
        statement.remove("reported")
    if declaration.doubt_until:
        statement.set("doubt_until", {"S": declaration.doubt_until})
    else:
        statement.remove("doubt_until")
    return statement.request()


def _if_unchanged(hour: UsageHour, revision: int | None) -> _Statement:
    statement = _Statement(hour).only_if("revision", _number_or_missing(revision))
    for meter in METERS:
        statement.only_if(meter.event_name, hour.counts.get(meter.event_name))
    return statement


def settling(declaration: Declaration, now: datetime) -> dict[str, Any]:
    """Return the statement that settles an hour whose totals Stripe has accepted (step 3)."""
    return (
        _if_unchanged(declaration.hour, declaration.revision)
        .set("reported", _map(declaration.totals))
        .set("reported_at", {"S": format_time(now)})
        .remove("sending", "sending_since", "doubt_until", "due_shard", "due_at", "refused")
        .request()
    )


def settling_unsent(hour: UsageHour) -> dict[str, Any]:
    """Return the statement that settles an hour whose totals Stripe already has: nothing was sent."""
    return (
        _if_unchanged(hour, hour.revision).only_if("sending", None).remove("due_shard", "due_at", "refused").request()
    )


def refusing(declaration: Declaration, accepted: Mapping[str, int], reason: str, now: datetime) -> dict[str, Any]:
    """Return the statement that marks an hour refused by Stripe, with what Stripe did accept of it."""
    statement = (
        _if_unchanged(declaration.hour, declaration.revision)
        .set("refused", {"S": reason})
        .remove("sending", "sending_since", "doubt_until", "due_shard", "due_at")
    )
    if accepted:
        statement.set("reported", _map(accepted)).set("reported_at", {"S": format_time(now)})
    else:
        # Nothing of this hour is at that customer, so a later attempt may go to another.
        statement.remove("reported", "reported_to")
    return statement.request()


def refusing_unsent(hour: UsageHour, reason: str) -> dict[str, Any]:
    """Return the statement that marks an hour refused before anything was sent for it."""
    return (
        _if_unchanged(hour, hour.revision)
        .only_if_due()
        .set("refused", {"S": reason})
        .remove("due_shard", "due_at")
        .request()
    )


def write(statements: Sequence[dict[str, Any]]) -> list[bool]:
    """Carry out at most 25 statements in one call; say of each whether it was done.

    Not done: its conditions did not hold, or it was throttled. Either way the hour stays as it is, and due.
    """
    request: Any = statements
    answer: Any = client().batch_execute_statement(Statements=request)
    errors = [response.get("Error") for response in answer["Responses"]]
    others = {error["Code"] for error in errors if error} - {"ConditionalCheckFailed"}
    if not all(is_transient_code(code) for code in others):
        raise RuntimeError(f"DynamoDB refuses a statement of ours: {sorted(others)}")
    return [not error for error in errors]


def refuse_while_unlinked(
    organization_id: str, hours: Sequence[tuple[UsageHour, str]], record: SubscriptionRecord | None
) -> bool:
    """Mark at most 99 hours of an organisation refused, only if its subscription is still as it was read.

    A webhook that makes the customer known at this very moment re-arms the hours that are refused by then. Without
    the check an hour refused a moment later would be billed never.

    Returns:
        False where the subscription, a count or a revision has changed: those hours stay due.
    """
    check: dict[str, Any] = {
        "TableName": SubscriptionRecord.name(),
        "Key": {"organization_id": {"S": organization_id}},
        "ConditionExpression": "attribute_not_exists(organization_id)",
    }
    if record is not None and record.version is None:
        check["ConditionExpression"] = "attribute_not_exists(version)"
    elif record is not None:
        check |= {
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": {":version": {"N": str(record.version)}},
        }
    updates = [_refusal(hour, reason) for hour, reason in hours]
    request: Any = [{"ConditionCheck": check}, *updates]
    try:
        client().transact_write_items(TransactItems=request)
    except ClientError as error:
        if error.response["Error"]["Code"] == "TransactionCanceledException":
            return False
        raise
    return True


def _refusal(hour: UsageHour, reason: str) -> dict[str, Any]:
    conditions = ["attribute_exists(due_at)", "attribute_not_exists(sending)"]
    values: dict[str, Any] = {":reason": {"S": reason}}
    if hour.revision is None:
        conditions.append("attribute_not_exists(revision)")
    else:
        conditions.append("revision = :revision")
        values[":revision"] = {"N": str(hour.revision)}
    return {
        "Update": {
            "TableName": UsageRecord.name(),
            "Key": {"organization_id": {"S": hour.organization_id}, "window_start": {"S": hour.window_start}},
            "UpdateExpression": "SET refused = :reason REMOVE due_shard, due_at",
            "ConditionExpression": " AND ".join(conditions),
            "ExpressionAttributeValues": values,
        }
    }


def batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut a list into lists of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]
