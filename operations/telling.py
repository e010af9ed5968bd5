"""The product is told again what is so now: an item is marked, and its own stream tells it, behind all else of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from pynamodb.expressions.operand import Path

from billing import clock
from billing.stripe_limits import OLDEST_USAGE
from billing.tables.periods import PeriodRecord, periods_of
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import TELL_AGAIN, Table
from billing.tables.usage import UsageRecord
from operations import backlog


@dataclass(frozen=True, slots=True)
class ToldItem:
    """An item to be told again: an organisation's record, one of its periods, or (`refused`) one of its hours."""

    organization_id: str
    kind: str
    key: str
    model: type[Table]

    def as_dict(self) -> dict[str, str]:
        """Return the item for programs."""
        return {"organization_id": self.organization_id, "kind": self.kind, "key": self.key}

    def tell(self) -> bool:
        """Mark the item, so that its stream tells what it is; False where it is gone."""
        keys: Any = [self.organization_id, *([self.key] if self.key else [])]
        item = self.model(*keys)
        # Another mark than the last one, also within a second: the same value again is no change.
        mark = f"{clock.format_time(clock.utc_now())} {uuid.uuid4().hex}"
        return item.update_if([Path([TELL_AGAIN]).set(mark)], Path(["organization_id"]).exists())


def items_of(organization_id: str) -> Iterator[ToldItem]:
    """Yield what there is to tell of an organisation: record, periods, refused hours of the past 35 days."""
    if SubscriptionRecord.of(organization_id) is not None:
        yield ToldItem(organization_id, "subscription", "", SubscriptionRecord)
    for period in periods_of(organization_id):
        yield ToldItem(organization_id, "period", period.period, PeriodRecord)
    for hour in backlog.refused_of(organization_id, clock.utc_now() - OLDEST_USAGE):
        yield ToldItem(organization_id, "hour", hour.window_start, UsageRecord)


def items_changed(since: datetime | None) -> Iterator[ToldItem]:
    """Yield the records and periods that were written at that moment or later, (None) all, and all refused hours.

    Three tables are read whole. An hour does not say when it was refused.
    """

    def is_wanted(written: datetime | None) -> bool:
        return since is None or written is None or written >= since

    for record in SubscriptionRecord.scan(attributes_to_get=["organization_id", "updated_at"]):
        if is_wanted(record.updated_at):
            yield ToldItem(record.organization_id, "subscription", "", SubscriptionRecord)
    for period in PeriodRecord.scan(attributes_to_get=["organization_id", "period", "updated_at"]):
        if is_wanted(period.updated_at):
            yield ToldItem(period.organization_id, "period", period.period, PeriodRecord)
    for hour in chain.from_iterable(backlog.all_refused(clock.utc_now() - OLDEST_USAGE)):
        yield ToldItem(hour.organization_id, "hour", hour.window_start, UsageRecord)
