"""What a delivery does next, decided from what it has read. Nothing here does I/O.

`delivery.py` is a loop: it reads, asks `decide`, and does what that says, until the event has its record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from billing.access.rule import access_at, facts_of
from billing.clock import from_unix, hour_of
from billing.webhooks.choice import Fetched, StoredSubscription
from billing.webhooks.events import Pointer, StripeEvent

# Stripe's clock and ours may differ by less than this.
CLOCK_TOLERANCE = timedelta(minutes=1)

Outcome = Literal["processed", "duplicate", "already_reflected", "ignored"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read of the tables showed: whether the event has its record, and the organisation's."""

    is_recorded: bool
    record: StoredSubscription | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What this delivery knows already.

    `outcome` is there once the event has its record and only the link is left to finish. `seen` is the version that
    was there when the event had reached us already.
    """

    outcome: Outcome | None = None
    seen: int | None = None

    def after(self, reading: Reading) -> Progress:
        """Return what is known after one more read."""
        outcome = self.outcome or ("duplicate" if reading.is_recorded else None)
        seen = version_of(reading.record) if self.seen is None else self.seen
        return Progress(outcome, seen)


@dataclass(frozen=True, slots=True)
class Refresh:
    """The subscription is fetched from Stripe and stored with the event's record."""


@dataclass(frozen=True, slots=True)
class FinishLinking:
    """What a new customer or subscription asks for is done: `record` holds a link that is not finished."""

    record: StoredSubscription


@dataclass(frozen=True, slots=True)
class Record:
    """The event gets its record, and nothing else is written."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class End:
    """Everything is done."""

    outcome: Outcome


Step = Refresh | FinishLinking | Record | End


def decide(event: StripeEvent, pointer: Pointer, reading: Reading, progress: Progress) -> Step:
    """Return the next step of a delivery; `progress` includes the reading."""
    record = reading.record
    if not reading.is_recorded and not is_covered(event, pointer, record, progress.seen):
        return Refresh()
    if record is not None and record.rearm_from is not None:
        return FinishLinking(record)
    return End(progress.outcome) if progress.outcome else Record("already_reflected")


def is_covered(event: StripeEvent, pointer: Pointer, record: StoredSubscription | None, seen: int | None) -> bool:
    """Say whether the stored record was fetched after everything that this event could tell.

    It was, where the fetch began a minute after Stripe created the event; or where the fetch began from a version that
    is newer than `seen`.
    """
    if record is None or record.is_damaged or record.fetched_at is None:
        return False
    if pointer.customer_id not in (record.customer_ids or ()):
        return False
    if seen is not None and record.fetched_from is not None and record.fetched_from > seen:
        return True
    return event.created is not None and record.fetched_at - CLOCK_TOLERANCE >= from_unix(event.created)


def version_of(record: StoredSubscription | None) -> int:
    """Return the record's version; 0 where nothing was written yet."""
    return int(record.version) if record is not None and record.version is not None else 0


def links_anew(before: StoredSubscription | None, fetched: Fetched) -> bool:
    """Say whether refused hours may have become billable: another customer or subscription, or one living again.

    Another customer is also one that the record does not follow: its subscription may have ended, and its hours not.
    """
    now = fetched.subscription
    return (
        before is None
        or before.is_damaged
        or not set(fetched.customer_ids) <= set(before.customer_ids or ())
        or before.stripe_customer_id != now.customer_id
        or before.stripe_subscription_id != now.subscription_id
        or (before.ended_at is not None and now.ended_at is None)
        or _covers_more(before, fetched)
    )


def _covers_more(before: StoredSubscription, fetched: Fetched) -> bool:
    """Say whether a subscription covers hours that none did: one that began, sells a meter now, or lives again."""
    known = {each.subscription_id: each for each in before.metered_subscriptions or ()}
    return any(each.covers_more_than(known.get(each.subscription_id)) for each in fetched.metered_subscriptions)


def leaves_a_link(before: StoredSubscription | None, fetched: Fetched) -> bool:
    """Say whether a link is left to finish once this is stored."""
    return links_anew(before, fetched) or (before is not None and before.rearm_from is not None)


def is_reflected(before: StoredSubscription, fetched: Fetched, now: datetime, grace: timedelta) -> bool:
    """Say whether the record already holds what was fetched, and who may use the service by it."""
    return all(getattr(before, name) == value for name, value in _attributes(fetched, now, grace).items())


def changes(
    before: StoredSubscription | None, fetched: Fetched, event_id: str | None, now: datetime, grace: timedelta
) -> dict[str, Any]:
    """Return the attributes that storing what was fetched sets, or (None) removes.

    The write needs that nobody has written since `before`: so what is as it was before need not be written.
    """
    as_it_was = None if before is not None and before.is_damaged else before
    attributes = _attributes(fetched, now, grace)
    unchanged = {name for name, value in attributes.items() if as_it_was and getattr(before, name) == value}
    values: dict[str, Any] = {
        **{name: value for name, value in attributes.items() if name not in unchanged},
        "fetched_at": fetched.fetched_at,
        "fetched_from": version_of(before),
        "refreshing_since": None,
        "version": version_of(before) + 1,
        "updated_at": now,
    }
    if before is None or before.created_at is None:
        values["created_at"] = now
    if event_id is not None:
        values["last_event_id"] = event_id
    if links_anew(before, fetched):
        values["rearm_from"] = _rearm_from(before, fetched)
    return values


def _rearm_from(before: StoredSubscription | None, fetched: Fetched) -> datetime:
    """Return from when refused hours may be billable: also those of a link that was not finished, or never made."""
    since = hour_of(min(subscription.started_at for subscription in fetched.all_subscriptions))
    return since if before is None or before.rearm_from is None else min(since, before.rearm_from)


def _attributes(fetched: Fetched, now: datetime, grace: timedelta) -> dict[str, Any]:
    attributes = _attributes_at_stripe(fetched)
    access = access_at(facts_of(attributes), now, grace)
    return attributes | {"access": access.state, "access_reason": access.reason, "access_until": access.until}


def _attributes_at_stripe(fetched: Fetched) -> dict[str, Any]:
    subscription = fetched.subscription
    return {
        "stripe_customer_id": subscription.customer_id,
        "stripe_subscription_id": subscription.subscription_id,
        "status": subscription.status,
        "current_period_start": subscription.current_period_start,
        "current_period_end": subscription.current_period_end,
        "cancel_at": subscription.cancel_at,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "trial_end": subscription.trial_end,
        "past_due_since": subscription.past_due_since,
        "started_at": subscription.started_at,
        "ended_at": subscription.ended_at,
        "price_ids": list(subscription.price_ids),
        "customer_ids": set(fetched.customer_ids),
        "customers_claimed": True,
        "metered_subscriptions": fetched.metered_subscriptions,
    }
