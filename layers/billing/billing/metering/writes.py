"""What metering writes into an hour's item: each write conditional, many of them in one call.

A `BatchExecuteStatement` with 25 conditional updates costs a tenth of the processor time of 25 `UpdateItem` calls, and
each statement succeeds or fails on its own.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from datetime import datetime
from typing import Any, NamedTuple

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from billing import history
from billing.clock import format_time
from billing.metering.hour import NO_SUCH_CUSTOMER, Declaration, Key, Link, Refusal, UsageHour
from billing.meters import METERS
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import client, connection, error_code
from billing.tables.usage import UsageRecord, is_at_version

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

    def only_with_counts_of(self, hour: UsageHour) -> _Update:
        """No count has changed: what was sent is what was counted."""
        for meter in METERS:
            self.only_if(meter.event_name, hour.counts.get(meter.event_name))
        return self

    def reports(self, totals: Mapping[str, int], under: Mapping[str, int], now: datetime) -> _Update:
        """Set what Stripe has accepted."""
        return self.set("reported", _map(totals)).set("reported_under", _map(under)).set("reported_at", _time(now))

    def keeping(self, text: str | None) -> _Update:
        """Set the history, where something is added to it."""
        return self if text is None else self.set("history", {"S": text})

    def after(self, version: int | None) -> _Update:
        """Take the next version: nobody in metering has written the item since it had this one."""
        return self.only_if("version", None if version is None else _number(version)).set(
            "version", _number((version or 0) + 1)
        )

    def write(self) -> Write:
        changes, conditions = " ".join(self._changes), " AND ".join(self._conditions)
        text = f'UPDATE "{UsageRecord.name()}" {changes} WHERE {conditions}'
        return Write(self._key, {"Statement": text, "Parameters": [*self._set_values, *self._condition_values]})


def _number(number: int) -> dict[str, Any]:
    return {"N": str(number)}


def _time(moment: datetime) -> dict[str, Any]:
    return {"S": format_time(moment)}


def _map(numbers: Mapping[str, int]) -> dict[str, Any]:
    return {"M": {name: _number(number) for name, number in numbers.items()}}


def declaring(declaration: Declaration, now: datetime) -> Write:
    """Return the write that declares totals before they are sent (step 1)."""
    update = (
        _Update(declaration.hour)
        .after(declaration.hour.version)
        .set("sending", _map(declaration.totals))
        .set("sending_since", _time(now))
        .set("revision", _number(declaration.revision))
        .set("reported_to", {"S": declaration.customer_id})
        .remove("refused")
    )
    if declaration.stamped_from != declaration.hour.stamped_from:
        update.set("stamped_from", {"S": declaration.stamped_from or declaration.hour.window_start})
    for name, until in (("doubt_until", declaration.doubt_until), ("others_until", declaration.others_until)):
        if until:
            update.set(name, {"S": until})
        else:
            update.remove(name)
    return update.write()


def settling(declaration: Declaration, sent: Collection[str], now: datetime) -> Write:
    """Return the write that settles an hour whose totals Stripe has accepted (step 3); `sent` are the meters told."""
    update = (
        _Update(declaration.hour)
        .after(declaration.version)
        .only_with_counts_of(declaration.hour)
        .keeping(_replaced(declaration.hour))
        .reports(declaration.totals, _reported_under(declaration, sent), now)
        .remove("sending", "sending_since", "doubt_until", "due_shard", "due_at")
    )
    if declaration.others_until <= format_time(now):
        update.remove("others_until")
    return update.write()


def _reported_under(declaration: Declaration, sent: Collection[str]) -> dict[str, int]:
    return {**declaration.hour.reported_under, **dict.fromkeys(sent, declaration.revision)}


def _replaced(hour: UsageHour) -> str | None:
    """Return the history with what Stripe has accepted of an hour until now; None, as for nearly all: nothing yet."""
    return history.replaced(hour.history, hour.reported, hour.reported_at, hour.reported_under)


def releasing(declaration: Declaration) -> Write:
    """Return the write that says that this sender is done, where what it sent may not be the last to arrive."""
    return _Update(declaration.hour).after(declaration.version).remove("sending_since").write()


def settling_unsent(hour: UsageHour) -> Write:
    """Return the write that settles an hour whose totals Stripe already has: nothing was sent."""
    return _Update(hour).after(hour.version).only_with_counts_of(hour).remove("due_shard", "due_at", "refused").write()


def settling_late(hour: UsageHour, totals: Mapping[str, int], now: datetime) -> Write:
    """Return the write that settles an hour whose invoice is final: nothing was sent, and what is owed is written."""
    entry = history.Entry(format_time(now), "late", totals)
    return (
        _Update(hour)
        .after(hour.version)
        .only_with_counts_of(hour)
        .set("late", _map(totals))
        .keeping(history.with_entries(hour.history, [entry]))
        .remove("sending", "sending_since", "doubt_until", "others_until", "due_shard", "due_at", "refused")
        .write()
    )


def refusing(
    declaration: Declaration, refusals: Mapping[str, Refusal], sent: Set[str], reason: str, now: datetime
) -> Write:
    """Return the write that marks an hour refused by Stripe, with what Stripe has of it all the same.

    `refusals` are those of the meters that Stripe refused, `sent` all meters that were told. Of a refused meter Stripe
    has the total it accepted before, unless another send since then may have changed it.
    """
    hour = declaration.hour
    accepted = {name: total for name, total in declaration.totals.items() if name not in refusals}
    if hour.sending is None:
        accepted |= {name: hour.reported[name] for name in refusals if name in hour.reported}
    update = (
        _Update(hour)
        .after(declaration.version)
        .only_with_counts_of(hour)
        .set("refused", {"S": reason})
        .remove("sending", "sending_since", "doubt_until", "others_until", "due_shard", "due_at")
    )
    update.keeping(_replaced(hour))
    if accepted:
        update.reports(accepted, _reported_under(declaration, sent - refusals.keys()), now)
    else:
        update.remove("reported")
    is_unknown_customer = all(refusal.code == NO_SUCH_CUSTOMER for refusal in refusals.values())
    is_first_send = hour.reported_to is None
    if not accepted and not hour.was_reported and (is_unknown_customer or is_first_send):
        # That customer has nothing of this hour, so a later attempt may go to another.
        update.remove("reported_to")
    return update.write()


def refusing_unsent(hour: UsageHour, reason: str) -> Write:
    """Return the write that marks an hour refused before anything was sent for it."""
    return (
        _Update(hour)
        .after(hour.version)
        .only_with_counts_of(hour)
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
                        UsageRecord.version.set((hour.version or 0) + 1),
                        UsageRecord.due_shard.remove(),
                        UsageRecord.due_at.remove(),
                    ],
                    condition=is_at_version(hour.version),
                )
    except TransactWriteError as error:
        if error_code(error) == "TransactionCanceledException":
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
