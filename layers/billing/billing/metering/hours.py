"""Due hours as metering meets them: listed, read, declared, settled, refused; all of it in batches.

A `BatchExecuteStatement` with 25 conditional updates costs a tenth of the processor time of 25 `UpdateItem` calls, and
each statement succeeds or fails on its own.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError

from billing.clock import format_time, parse_time
from billing.errors import UnavailableError
from billing.meters import METERS
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import client
from billing.tables.usage import SHARDS, UsageRecord

READ_BATCH = 100
WRITE_BATCH = 25
# A transaction takes 100 items; one is the check of the subscription.
REFUSE_BATCH = 99
# What DynamoDB answers for a statement whose conditions did not hold: somebody else was there first.
CONDITION_FAILED = "ConditionalCheckFailed"

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
class Link:
    """Hold what ties an organisation to Stripe, as its record had it; `version` is None where nothing wrote it yet."""

    customer_id: str | None
    ended_at: datetime | None
    version: int | None


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
            ProjectionExpression="organization_id, window_start",
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


def read_due(keys: Sequence[Key]) -> list[UsageHour]:
    """Read at most 100 hours in one call, consistently; those that are no longer due are left out."""
    wanted = [{"organization_id": {"S": key[0]}, "window_start": {"S": key[1]}} for key in keys]
    return [_hour(item) for item in _read(UsageRecord.name(), {"Keys": wanted}) if "due_at" in item]


def read_links(organization_ids: Sequence[str]) -> dict[str, Link]:
    """Read at most 100 organisations' links in one call, consistently; those without a record are left out."""
    request = {
        "Keys": [{"organization_id": {"S": organization_id}} for organization_id in organization_ids],
        "ProjectionExpression": "organization_id, stripe_customer_id, ended_at, version",
    }
    return {item["organization_id"]["S"]: _link(item) for item in _read(SubscriptionRecord.name(), request)}


def _read(table_name: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    wanted: Any = {table_name: {**request, "ConsistentRead": True}}
    items: list[dict[str, Any]] = []
    for _ in range(5):
        answer: Any = client().batch_get_item(RequestItems=wanted)
        items += answer["Responses"].get(table_name, ())
        wanted = answer.get("UnprocessedKeys")
        if not wanted:
            return items
    raise UnavailableError(f"DynamoDB keeps leaving keys of {table_name} unread: it is throttled")


def _link(item: Mapping[str, Any]) -> Link:
    return Link(
        customer_id=item["stripe_customer_id"]["S"] if "stripe_customer_id" in item else None,
        ended_at=parse_time(item["ended_at"]["S"]) if "ended_at" in item else None,
        version=int(item["version"]["N"]) if "version" in item else None,
    )


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


class Write(NamedTuple):
    """Hold a conditional update of the hour with this key, ready to be carried out."""

    key: Key
    statement: dict[str, Any]


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

    def only_with(self, name: str) -> _Statement:
        self.conditions.append(f"{name} IS NOT MISSING")
        return self

    def write(self) -> Write:
        changes, conditions = " ".join(self.changes), " AND ".join(self.conditions)
        text = f'UPDATE "{UsageRecord.name()}" {changes} WHERE {conditions}'
        return Write(self.hour.key, {"Statement": text, "Parameters": [*self.set_values, *self.where_values]})


def _number_or_missing(number: int | None) -> dict[str, Any] | None:
    return None if number is None else {"N": str(number)}


def declaring(declaration: Declaration, now: datetime) -> Write:
    """Return the write that declares totals before they are sent (step 1)."""
    hour = declaration.hour
    statement = (
        _Statement(hour)
        .set("sending", _map(declaration.totals))
        .set("sending_since", {"S": format_time(now)})
        .set("revision", {"N": str(declaration.revision)})
        .set("reported_to", {"S": declaration.customer_id})
        .remove("refused")
        .only_if("revision", _number_or_missing(hour.revision))
        .only_with("due_at")
    )
    if declaration.doubt_until:
        statement.set("doubt_until", {"S": declaration.doubt_until})
    else:
        statement.remove("doubt_until")
    return statement.write()


def _if_unchanged(hour: UsageHour, revision: int | None) -> _Statement:
    statement = _Statement(hour).only_if("revision", _number_or_missing(revision))
    for meter in METERS:
        statement.only_if(meter.event_name, hour.counts.get(meter.event_name))
    return statement


def settling(declaration: Declaration, now: datetime) -> Write:
    """Return the write that settles an hour whose totals Stripe has accepted (step 3)."""
    return (
        _if_unchanged(declaration.hour, declaration.revision)
        .set("reported", _map(declaration.totals))
        .set("reported_at", {"S": format_time(now)})
        # It is there already, unless a sender of the same totals was refused meanwhile.
        .set("reported_to", {"S": declaration.customer_id})
        .remove("sending", "sending_since", "doubt_until", "due_shard", "due_at", "refused")
        .write()
    )


def settling_unsent(hour: UsageHour) -> Write:
    """Return the write that settles an hour whose totals Stripe already has: nothing was sent."""
    return (
        _if_unchanged(hour, hour.revision)
        .only_if("sending", None)
        .only_with("due_at")
        .remove("due_shard", "due_at", "refused")
        .write()
    )


def refusing(declaration: Declaration, refused: Collection[str], reason: str, now: datetime) -> Write:
    """Return the write that marks an hour refused by Stripe, with what Stripe has of it all the same.

    Of a refused meter that is the total it accepted before, unless a send since then may have changed it.
    """
    hour = declaration.hour
    has = {name: total for name, total in declaration.totals.items() if name not in refused}
    if hour.sending is None:
        has = {name: hour.reported[name] for name in refused if name in hour.reported} | has
    statement = (
        _if_unchanged(hour, declaration.revision)
        .only_with("sending")
        .set("refused", {"S": reason})
        .remove("sending", "sending_since", "doubt_until", "due_shard", "due_at")
    )
    if has:
        statement.set("reported", _map(has)).set("reported_at", {"S": format_time(now)})
    else:
        statement.remove("reported")
    is_first_send = hour.reported_to is None or hour.sending is not None
    if not has and not hour.reported and is_first_send:
        # That customer never accepted anything of this hour, so a later attempt may go to another.
        statement.remove("reported_to")
    return statement.write()


def refusing_unsent(hour: UsageHour, reason: str) -> Write:
    """Return the write that marks an hour refused before anything was sent for it."""
    return (
        _if_unchanged(hour, hour.revision)
        .only_with("due_at")
        .set("refused", {"S": reason})
        .remove("due_shard", "due_at")
        .write()
    )


def write(writes: Sequence[Write]) -> list[str]:
    """Carry out at most 25 writes in one call; return an error code for each, empty where it was done.

    Not done, for whatever reason, leaves the hour as it is, and due.
    """
    statements: Any = [each.statement for each in writes]
    answer: Any = client().batch_execute_statement(Statements=statements)
    return [response["Error"]["Code"] if "Error" in response else "" for response in answer["Responses"]]


def refuse_while_unlinked(organization_id: str, hours: Sequence[tuple[UsageHour, str]], link: Link | None) -> bool:
    """Mark at most 99 hours of an organisation refused, only if its subscription is still as it was read.

    A webhook that makes the customer known at this very moment re-arms the hours that are refused by then. Without
    the check an hour refused a moment later would be billed never.

    Returns:
        False where the subscription or a revision has changed: those hours stay due.
    """
    check: dict[str, Any] = {
        "TableName": SubscriptionRecord.name(),
        "Key": {"organization_id": {"S": organization_id}},
        "ConditionExpression": "attribute_not_exists(organization_id)",
    }
    if link is not None and link.version is None:
        check["ConditionExpression"] = "attribute_not_exists(version)"
    elif link is not None:
        check |= {
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": {":version": {"N": str(link.version)}},
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
