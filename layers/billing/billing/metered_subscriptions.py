"""Which subscriptions sold an organisation's usage, from when to when, and to which customer. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.clock import HOUR, format_time, parse_time


@dataclass(frozen=True, slots=True)
class MeteredSubscription:
    """A subscription that sells at least one of our meters, as the organisation's record remembers it.

    `meters` are the event names of those that it sells now, in order. One whose first payment is open sells nothing.
    `period_starts` are the moments at which a billing period of it begins, in order: those of the past that are known,
    and the next one where it goes on by then.
    """

    subscription_id: str
    customer_id: str
    started_at: datetime
    ended_at: datetime | None
    meters: tuple[str, ...]
    period_starts: tuple[datetime, ...] = ()

    def begins_within(self, window_start: datetime) -> datetime | None:
        """Return when a period of it begins in this hour, the last where several do; None where none does."""
        starts = [start for start in self.period_starts if window_start < start < window_start + HOUR]
        return max(starts, default=None)

    def covers(self, window_start: datetime) -> bool:
        """Say whether it sold usage in this hour, or in a part of it."""
        return self.started_at < window_start + HOUR and (self.ended_at is None or self.ended_at > window_start)

    def covers_more_than(self, before: MeteredSubscription | None) -> bool:
        """Say whether it covers hours that it did not cover when it was `before` (None: not there at all)."""
        if before is None or before.customer_id != self.customer_id or self.started_at < before.started_at:
            return True
        return before.ended_at is not None and (self.ended_at is None or self.ended_at > before.ended_at)


def covering(subscriptions: Iterable[MeteredSubscription], window_start: datetime) -> MeteredSubscription | None:
    """Return the first subscription that covers an hour; the record lists the one that is followed first."""
    return next((each for each in subscriptions if each.covers(window_start)), None)


def to_attribute_values(subscriptions: Iterable[MeteredSubscription]) -> list[dict[str, Any]]:
    """Return subscriptions as DynamoDB's list of maps."""
    return [{"M": _to_map(subscription)} for subscription in subscriptions]


def _to_map(subscription: MeteredSubscription) -> dict[str, Any]:
    values: dict[str, Any] = {
        "subscription_id": {"S": subscription.subscription_id},
        "customer_id": {"S": subscription.customer_id},
        "started_at": {"S": format_time(subscription.started_at)},
        "meters": {"L": [{"S": event_name} for event_name in subscription.meters]},
        "period_starts": {"L": [{"S": format_time(start)} for start in subscription.period_starts]},
    }
    if subscription.ended_at is not None:
        values["ended_at"] = {"S": format_time(subscription.ended_at)}
    return values


def from_attribute_values(values: Iterable[Mapping[str, Any]]) -> tuple[MeteredSubscription, ...]:
    """Read subscriptions from DynamoDB's list of maps.

    Raises:
        ValueError: the list is not of the form in which it is written.
    """
    try:
        return tuple(_from_map(value["M"]) for value in values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("metered_subscriptions is damaged") from error


def _from_map(values: Mapping[str, Any]) -> MeteredSubscription:
    return MeteredSubscription(
        subscription_id=values["subscription_id"]["S"],
        customer_id=values["customer_id"]["S"],
        started_at=parse_time(values["started_at"]["S"]),
        ended_at=parse_time(values["ended_at"]["S"]) if "ended_at" in values else None,
        meters=tuple(value["S"] for value in values["meters"]["L"]),
        # Not there in records from before periods were remembered.
        period_starts=tuple(parse_time(value["S"]) for value in values.get("period_starts", {"L": ()})["L"]),
    )
