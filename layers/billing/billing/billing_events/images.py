"""What a stream's record shows of an item, before and after: read as whoever reads the table reads it.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from billing.billing_events.changes import (
    BillingEvent,
    HourImage,
    SubscriptionImage,
    hour_events,
    period_events,
    subscription_events,
)
from billing.clock import from_unix
from billing.periods import Period
from billing.tables.periods import PeriodRecord, stored
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import TELL_AGAIN, Table

Item = TypeVar("Item", bound=Table)
Image = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One record of a stream: which item, what changed, and what it tells.

    `record_version` is the item's version after the change, where it has one: of an item's changes the later one has a
    higher version. `damaged` are its attributes that cannot be read.
    """

    change_id: str
    organization_id: str
    changed_at: datetime
    record_version: int | None
    is_retold: bool
    events: tuple[BillingEvent, ...]
    damaged: frozenset[str] = frozenset()


def read_change(record: Mapping[str, Any]) -> Change:
    """Read a record of one of the tables' streams.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    values = record["dynamodb"]
    keys, before, after = values["Keys"], values.get("OldImage"), values.get("NewImage")
    is_retold = after is not None and TELL_AGAIN in after and (before or {}).get(TELL_AGAIN) != after[TELL_AGAIN]
    events, damaged = _told(keys, before, after, is_retold=is_retold)
    return Change(
        change_id=str(record["eventID"]),
        organization_id=str(keys["organization_id"]["S"]),
        changed_at=from_unix(int(values["ApproximateCreationDateTime"])),
        record_version=_version(after or before or {}),
        is_retold=is_retold,
        events=tuple(events),
        damaged=damaged,
    )


def _told(
    keys: Image, before: Image | None, after: Image | None, *, is_retold: bool
) -> tuple[Iterable[BillingEvent], frozenset[str]]:
    """Return what a change tells, by the table, which its key shows."""
    if "window_start" in keys:
        window_start = str(keys["window_start"]["S"])
        hours = [_hour(window_start, image) for image in (before, after)]
        return hour_events(*hours, is_retold=is_retold), frozenset()
    if "period" in keys:
        old_period, new_period = _item(PeriodRecord, before), _item(PeriodRecord, after)
        periods = [_period(each) for each in (old_period, new_period)]
        return period_events(*periods, is_retold=is_retold), _damage(new_period)
    old, new = _item(SubscriptionRecord, before), _item(SubscriptionRecord, after)
    images = [None if each is None else SubscriptionImage(each.attribute_values) for each in (old, new)]
    return subscription_events(*images, is_retold=is_retold), _damage(new)


def _hour(window_start: str, image: Image | None) -> HourImage | None:
    return None if image is None else HourImage(window_start, _text(image, "refused"))


def _item(model: type[Item], image: Image | None) -> Item | None:
    if image is None:
        return None
    item: Item = model.from_raw_data(dict(image))
    return item


def _period(record: PeriodRecord | None) -> Period | None:
    # Its version differs with every write, and tells nobody anything.
    return None if record is None else replace(stored(record), version=None)


def _damage(record: Table | None) -> frozenset[str]:
    return frozenset() if record is None else record.damaged


def _text(image: Image, name: str) -> str | None:
    value = image.get(name)
    return str(value["S"]) if isinstance(value, Mapping) and "S" in value else None


def _version(image: Image) -> int | None:
    try:
        return int(image["version"]["N"])
    except (KeyError, TypeError, ValueError):
        return None
