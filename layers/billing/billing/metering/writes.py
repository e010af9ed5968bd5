"""What metering writes into an hour's item: each write conditional, many of them in one call.

A `BatchExecuteStatement` with 25 conditional updates costs a tenth of the processor time of 25 `UpdateItem` calls, and
each statement succeeds or fails on its own.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from billing.clock import format_time
from billing.metering.hour import Declaration, Key, Link, UsageHour
from billing.meters import METERS
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import client, connection
from billing.tables.usage import UsageRecord

WRITE_BATCH = 25
# A transaction takes 100 items; one is the check of the subscription.
REFUSE_BATCH = 99
# What DynamoDB returns for a statement whose conditions did not hold: somebody else was there first.
CONDITION_FAILED = "ConditionalCheckFailed"


class Write(NamedTuple):
    """A conditional update of the hour with this key, ready to be carried out."""

    key: Key
    statement: dict[str, Any]


class _Update:
    """A conditional PartiQL update of one hour, put together clause by clause.

    Names are quoted, so that a meter may have any name. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.update.html
    """

    def __init__(self, hour: UsageHour) -> None:
        self._key = hour.key
        self._changes: list[str] = []
        self._conditions: list[str] = ["organization_id=?", "window_start=?"]
        self._set_values: list[Any] = []
        self._condition_values: list[Any] = [{"S": hour.organization_id}, {"S": hour.window_start}]

    def set(self, name: str, value: Mapping[str, Any]) -> _Update:
        self._changes.append(f'SET "{name}"=?')
        self._set_values.append(value)
        return self

    def remove(self, *names: str) -> _Update:
        self._changes += [f'REMOVE "{name}"' for name in names]
        return self

    def only_if(self, name: str, value: Mapping[str, Any] | None) -> _Update:
        """Require that an attribute has this value, or (None) that it is not there."""
        if value is None:
            self._conditions.append(f'"{name}" IS MISSING')
        else:
            self._conditions.append(f'"{name}"=?')
            self._condition_values.append(value)
        return self

    def only_with(self, name: str) -> _Update:
        self._conditions.append(f'"{name}" IS NOT MISSING')
        return self

    def only_while_due(self) -> _Update:
        """Nobody has settled or refused the hour since it was read."""
        return self.only_with("due_at")

    def only_at_revision(self, revision: int | None) -> _Update:
        """Nobody has declared other totals."""
        return self.only_if("revision", None if revision is None else {"N": str(revision)})

    def only_with_counts_of(self, hour: UsageHour) -> _Update:
        """No count has changed: what was sent is what was counted."""
        for meter in METERS:
            self.only_if(meter.event_name, hour.counts.get(meter.event_name))
        return self

    def write(self) -> Write:
        changes, conditions = " ".join(self._changes), " AND ".join(self._conditions)
        text = f'UPDATE "{UsageRecord.name()}" {changes} WHERE {conditions}'
        return Write(self._key, {"Statement": text, "Parameters": [*self._set_values, *self._condition_values]})


def _map(numbers: Mapping[str, int]) -> dict[str, Any]:
    return {"M": {name: {"N": str(number)} for name, number in numbers.items()}}


def declaring(declaration: Declaration, now: datetime) -> Write:
    """Return the write that declares totals before they are sent (step 1)."""
    hour = declaration.hour
    update = (
        _Update(hour)
        .only_at_revision(hour.revision)
        .only_while_due()
        .set("sending", _map(declaration.totals))
        .set("sending_since", {"S": format_time(now)})
        .set("revision", {"N": str(declaration.revision)})
        .set("reported_to", {"S": declaration.customer_id})
        .remove("refused")
    )
    if declaration.doubt_until:
        update.set("doubt_until", {"S": declaration.doubt_until})
    else:
        update.remove("doubt_until")
    return update.write()


def settling(declaration: Declaration, now: datetime) -> Write:
    """Return the write that settles an hour whose totals Stripe has accepted (step 3)."""
    return (
        _Update(declaration.hour)
        .only_at_revision(declaration.revision)
        .only_with_counts_of(declaration.hour)
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
        _Update(hour)
        .only_at_revision(hour.revision)
        .only_with_counts_of(hour)
        .only_if("sending", None)
        .only_while_due()
        .remove("due_shard", "due_at", "refused")
        .write()
    )


def refusing(declaration: Declaration, refused: Collection[str], reason: str, now: datetime) -> Write:
    """Return the write that marks an hour refused by Stripe, with what Stripe has of it all the same.

    Of a refused meter that is the total it accepted before, unless a send since then may have changed it.
    """
    hour = declaration.hour
    accepted = {name: total for name, total in declaration.totals.items() if name not in refused}
    if hour.sending is None:
        accepted = {name: hour.reported[name] for name in refused if name in hour.reported} | accepted
    update = (
        _Update(hour)
        .only_at_revision(declaration.revision)
        .only_with_counts_of(hour)
        .only_with("sending")
        .set("refused", {"S": reason})
        .remove("sending", "sending_since", "doubt_until", "due_shard", "due_at")
    )
    if accepted:
        update.set("reported", _map(accepted)).set("reported_at", {"S": format_time(now)})
    else:
        update.remove("reported")
    is_first_send = hour.reported_to is None or hour.sending is not None
    if not accepted and not hour.reported and is_first_send:
        # That customer never accepted anything of this hour, so a later attempt may go to another.
        update.remove("reported_to")
    return update.write()


def refusing_unsent(hour: UsageHour, reason: str) -> Write:
    """Return the write that marks an hour refused before anything was sent for it."""
    return (
        _Update(hour)
        .only_at_revision(hour.revision)
        .only_with_counts_of(hour)
        .only_while_due()
        .set("refused", {"S": reason})
        .remove("due_shard", "due_at")
        .write()
    )


def write(writes: Sequence[Write]) -> list[str]:
    """Carry out at most 25 writes in one call; return an error code for each, empty where it was done.

    Not done, for whatever reason, leaves the hour as it is, and due.
    """
    statements: Any = [each.statement for each in writes]
    response: Any = client().batch_execute_statement(Statements=statements)
    return [result["Error"]["Code"] if "Error" in result else "" for result in response["Responses"]]


def refuse_while_unlinked(organization_id: str, hours: Sequence[tuple[UsageHour, str]], link: Link | None) -> bool:
    """Mark at most 99 hours of an organisation refused, each with its reason, only if the record is still as read.

    A webhook that makes the customer known at this very moment re-arms the hours that are refused by then. Without
    the check an hour refused a moment later would be billed never.

    Returns:
        False where the organisation's record or an hour has changed: all these hours stay due.
    """
    is_still_unlinked = _is_as_read(link)
    try:
        with TransactWrite(connection=connection()) as transaction:
            transaction.condition_check(SubscriptionRecord, organization_id, condition=is_still_unlinked)
            for hour, reason in hours:
                transaction.update(
                    UsageRecord(hour.organization_id, hour.window_start),
                    actions=[
                        UsageRecord.refused.set(reason),
                        UsageRecord.due_shard.remove(),
                        UsageRecord.due_at.remove(),
                    ],
                    condition=_is_due_and_unsent(hour),
                )
    except TransactWriteError as error:
        if error.cause_response_code == "TransactionCanceledException":
            return False
        raise
    return True


def _is_as_read(link: Link | None) -> Any:
    """Return the condition that no webhook has written the organisation's record since it was read."""
    if link is None:
        return SubscriptionRecord.organization_id.does_not_exist()
    if link.version is None:
        return SubscriptionRecord.version.does_not_exist()
    return SubscriptionRecord.version == link.version


def _is_due_and_unsent(hour: UsageHour) -> Any:
    is_due = UsageRecord.due_at.exists()  # nobody has settled or refused it
    is_unsent = UsageRecord.sending.does_not_exist()  # no total of it may be on its way to a customer
    is_at_revision = (  # nobody has declared a total since it was read
        UsageRecord.revision.does_not_exist() if hour.revision is None else UsageRecord.revision == hour.revision
    )
    return is_due & is_unsent & is_at_revision
