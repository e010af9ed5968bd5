"""PeriodsTable: what each billing period of a subscription counts, and what its invoices bill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast, get_args

from pynamodb.attributes import Attribute, BooleanAttribute, ListAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.constants import STRING
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from billing.clock import format_time, from_unix, parse_time
from billing.metered_subscriptions import BillingPeriod
from billing.periods import InvoiceOfPeriod, LastHour, Period, State, Totals
from billing.tables.table import Table, TimeAttribute, TotalsAttribute


def period_key(subscription_id: str, starts_at: datetime) -> str:
    """Return a period's range key: the subscription's id and the period's start."""
    return f"{subscription_id} {format_time(starts_at)}"


class DraftsIndex(GlobalSecondaryIndex["PeriodRecord"]):
    """The periods whose invoice is a draft, the one that is made final first in front, within a shard."""

    class Meta:
        """Name the index as template.yaml does."""

        index_name = "drafts"
        projection = KeysOnlyProjection()

    draft_shard = NumberAttribute(hash_key=True)
    finalizes_at = UnicodeAttribute(range_key=True)


class InvoicesAttribute(Attribute[Mapping[str, InvoiceOfPeriod]]):
    """A period's invoices by id, as JSON."""

    attr_type = STRING

    def serialize(self, value: Mapping[str, InvoiceOfPeriod]) -> str:
        """Write the invoices."""
        return json.dumps({invoice_id: asdict(invoice) for invoice_id, invoice in value.items()})

    def deserialize(self, value: str) -> dict[str, InvoiceOfPeriod]:
        """Read the invoices.

        Raises:
            ValueError, TypeError: the text is not what `serialize` writes.
        """
        return {invoice_id: InvoiceOfPeriod(**values) for invoice_id, values in json.loads(value).items()}


class TotalsByNameAttribute(Attribute[Mapping[str, Totals]]):
    """Meters' totals under names: hours, or what was told. As JSON."""

    attr_type = STRING

    def serialize(self, value: Mapping[str, Totals]) -> str:
        """Write the totals."""
        return json.dumps({name: dict(totals) for name, totals in value.items()})

    def deserialize(self, value: str) -> dict[str, dict[str, int]]:
        """Read the totals.

        Raises:
            ValueError, TypeError, AttributeError: the text is not what `serialize` writes.
        """
        return {
            name: {event_name: int(number) for event_name, number in totals.items()}
            for name, totals in json.loads(value).items()
        }


class PeriodRecord(Table):
    """One billing period of a subscription; `billing.periods` tells what the attributes mean."""

    class Meta:
        """Give PynamoDB the place for the name, which is read at first use."""

        table_name = ""

    environment_variable = "PERIODS_TABLE"

    organization_id = UnicodeAttribute(hash_key=True)
    period = UnicodeAttribute(range_key=True)
    stripe_subscription_id = UnicodeAttribute(null=True)
    stripe_customer_id = UnicodeAttribute(null=True)
    starts_at = TimeAttribute(null=True)
    ends_at = TimeAttribute(null=True)
    is_first = BooleanAttribute(null=True)
    is_last = BooleanAttribute(null=True)
    is_trial = BooleanAttribute(null=True)
    state = UnicodeAttribute(null=True)
    draft_shard = NumberAttribute(null=True)
    finalizes_at = UnicodeAttribute(null=True)
    invoices = InvoicesAttribute(null=True)
    meters = ListAttribute(of=UnicodeAttribute, null=True)
    counted = TotalsAttribute(null=True)
    in_first_hour = TotalsAttribute(null=True)
    in_last_hour = TotalsAttribute(null=True)
    last_hour_is = UnicodeAttribute(null=True)
    late_hours = ListAttribute(of=UnicodeAttribute, null=True)
    carried = TotalsByNameAttribute(null=True)
    carried_why = ListAttribute(of=UnicodeAttribute, null=True)
    told = TotalsByNameAttribute(null=True)
    missing = ListAttribute(of=UnicodeAttribute, null=True)
    reached = TotalsByNameAttribute(null=True)
    version = NumberAttribute(null=True)
    updated_at = TimeAttribute(null=True)

    drafts = DraftsIndex()


def periods_of(organization_id: str) -> Iterator[PeriodRecord]:
    """Yield all periods of an organisation that have an item, read consistently."""
    yield from PeriodRecord.query(organization_id, consistent_read=True)


def drafts_in(shard: int, since: datetime, until: datetime) -> Iterator[tuple[str, str]]:
    """Yield the keys of a shard's periods whose draft is made final between these moments."""
    is_soon: Any = PeriodRecord.finalizes_at.between(format_time(since), format_time(until))
    for record in PeriodRecord.drafts.query(shard, is_soon):
        yield record.organization_id, record.period


def is_period_at_version(version: float | None) -> Any:
    """Return the condition that nobody has written a period since it had this version; None: it has no item."""
    return PeriodRecord.version.does_not_exist() if version is None else PeriodRecord.version == version


def stored(record: PeriodRecord) -> Period:
    """Return an item as a value; what cannot be read of it is as if it were not there."""
    values: Any = record.attribute_values
    subscription_id, _, start = record.period.partition(" ")
    try:
        starts_at = record.starts_at or parse_time(start)
    except ValueError:
        starts_at = from_unix(0)
    is_whole = None not in (record.stripe_subscription_id, record.stripe_customer_id, record.starts_at, record.state)
    state = record.state if record.state in get_args(State) else "open"
    last_hour_is = record.last_hour_is if record.last_hour_is in get_args(LastHour) else ""
    names = ("invoices", "counted", "in_first_hour", "in_last_hour", "carried", "told", "reached")
    totals: dict[str, Any] = {name: values.get(name) or {} for name in names}
    lists = ("meters", "late_hours", "carried_why", "missing")
    texts: dict[str, Any] = {name: tuple(values.get(name) or ()) for name in lists}
    return Period(
        span=BillingPeriod(
            record.stripe_subscription_id or subscription_id,
            record.stripe_customer_id or "",
            starts_at,
            record.ends_at,
            is_first=bool(record.is_first),
            is_last=bool(record.is_last),
            is_trial=bool(record.is_trial),
        ),
        state=cast(State, state),
        version=None if record.version is None else int(record.version),
        finalizes_at=_time(record.finalizes_at),
        is_damaged=bool(record.damaged) or not is_whole or record.state != state,
        last_hour_is=cast(LastHour, last_hour_is),
        **texts,
        **totals,
    )


def _time(text: str | None) -> datetime | None:
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None
