"""Which subscriptions sold an organisation's usage, from when to when, and to which customer. Nothing here does I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.clock import HOUR, format_time, hour_of, parse_time

PeriodKey = tuple[str, datetime]
"""A subscription's id and a period's start."""


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """A billing period of a subscription. `ends_at` is None while it is not known; `is_last`: the subscription ends it.

    The hour in which a period begins belongs to it, so that it has no part of the hour in which the next one begins.
    `is_first`: the subscription begins with it. `is_trial`: what is used in it costs nothing.
    """

    subscription_id: str
    customer_id: str
    starts_at: datetime
    ends_at: datetime | None
    is_first: bool = False
    is_last: bool = False
    is_trial: bool = False

    @property
    def key(self) -> PeriodKey:
        """Return what tells it from every other period of an organisation."""
        return self.subscription_id, self.starts_at

    @property
    def first_hour(self) -> datetime:
        """Return the start of its first hour."""
        return hour_of(self.starts_at)

    @property
    def hours_until(self) -> datetime | None:
        """Return the end of its last hour."""
        if self.ends_at is None:
            return None
        end = hour_of(self.ends_at)
        return end + HOUR if self.is_last and end != self.ends_at else end

    def has_ended(self, now: datetime) -> bool:
        """Say whether it is over."""
        return self.ends_at is not None and self.ends_at <= now


@dataclass(frozen=True, slots=True)
class MeteredSubscription:
    """A subscription that sells at least one of our meters, as the organisation's record remembers it.

    `meters` are the event names of those that it sells now, in order. One whose first payment is open sells nothing.
    `period_starts` are the moments at which a billing period of it begins, in order: those of the past that are known,
    and the next one where it goes on by then; else `ends_by` is when it is to end. Its usage until `trial_end` costs
    nothing.
    """

    subscription_id: str
    customer_id: str
    started_at: datetime
    ended_at: datetime | None
    meters: tuple[str, ...]
    period_starts: tuple[datetime, ...] = ()
    trial_end: datetime | None = None
    ends_by: datetime | None = None

    @property
    def end(self) -> datetime | None:
        """Return when it ended, or is to end; None where it goes on."""
        return self.ended_at or self.ends_by

    def begins_within(self, window_start: datetime) -> datetime | None:
        """Return when a period of it begins in this hour, the last where several do; None where none does."""
        starts = [start for start in self.period_starts if window_start < start < window_start + HOUR]
        return max(starts, default=None)

    def covers(self, window_start: datetime) -> bool:
        """Say whether it sold usage in this hour, or in a part of it."""
        return self.started_at < window_start + HOUR and (self.end is None or self.end > window_start)

    def covers_more_than(self, before: MeteredSubscription | None) -> bool:
        """Say whether it covers hours that it did not cover when it was `before` (None: not there at all)."""
        if before is None or before.customer_id != self.customer_id or self.started_at < before.started_at:
            return True
        return before.end is not None and (self.end is None or self.end > before.end)

    def periods(self) -> Iterator[BillingPeriod]:
        """Yield its periods that are known, in order, to the one that begins next."""
        following = (*self.period_starts[1:], None)[: len(self.period_starts)]
        for start, end in zip(self.period_starts, following, strict=True):
            yield BillingPeriod(
                self.subscription_id,
                self.customer_id,
                start,
                self.end if end is None else end,
                is_first=start == self.started_at,
                is_last=end is None and self.end is not None,
                is_trial=self.trial_end is not None and start < self.trial_end,
            )

    def is_out_of_date(self, now: datetime) -> bool:
        """Say whether it has begun a period, or ended, of which nothing is known: no webhook has told of it."""
        known_until = self.ends_by or max(self.period_starts, default=now)
        return self.ended_at is None and known_until < now

    def period_before(self, span: BillingPeriod) -> BillingPeriod | None:
        """Return the period that ended when this one began; None where it is not known."""
        return next((each for each in self.periods() if each.ends_at == span.starts_at), None)

    def period_of(self, window_start: datetime) -> BillingPeriod | None:
        """Return the period to which an hour belongs; None where it is not known."""
        periods = [each for each in self.periods() if each.first_hour <= window_start]
        return periods[-1] if periods else None


OPTIONAL_TIMES = ("ended_at", "trial_end", "ends_by")


def covering(subscriptions: Iterable[MeteredSubscription], window_start: datetime) -> MeteredSubscription | None:
    """Return the first subscription that covers an hour; the record lists the one that is followed first."""
    return next((each for each in subscriptions if each.covers(window_start)), None)


def to_text(subscriptions: Iterable[MeteredSubscription]) -> str:
    """Write subscriptions as the record has them: JSON, which costs a run less to read than DynamoDB's nested maps."""
    return json.dumps([_values(subscription) for subscription in subscriptions], separators=(",", ":"))


def _values(subscription: MeteredSubscription) -> dict[str, Any]:
    values: dict[str, Any] = {
        "subscription_id": subscription.subscription_id,
        "customer_id": subscription.customer_id,
        "started_at": format_time(subscription.started_at),
        "meters": subscription.meters,
        "period_starts": [format_time(start) for start in subscription.period_starts],
    }
    for name in OPTIONAL_TIMES:
        moment: datetime | None = getattr(subscription, name)
        if moment is not None:
            values[name] = format_time(moment)
    return values


def from_text(text: str) -> tuple[MeteredSubscription, ...]:
    """Read what `to_text` wrote.

    Raises:
        ValueError: the text is not of the form in which it is written.
    """
    try:
        return tuple(_subscription(values) for values in json.loads(text))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("metered_subscriptions is damaged") from error


def _subscription(values: dict[str, Any]) -> MeteredSubscription:
    return MeteredSubscription(
        subscription_id=values["subscription_id"],
        customer_id=values["customer_id"],
        started_at=parse_time(values["started_at"]),
        meters=tuple(values["meters"]),
        period_starts=tuple(parse_time(start) for start in values["period_starts"]),
        **{name: parse_time(values[name]) if name in values else None for name in OPTIONAL_TIMES},
    )
