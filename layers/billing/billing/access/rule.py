"""Who may use the service, and until when: decided from an organisation's record and the time. Nothing here does I/O.

https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

State = Literal["allowed", "grace", "denied"]
Reason = Literal[
    "active",
    "trialing",
    "canceling",
    "past_due",
    "trial_ended",
    "unknown_status",
    "record_damaged",
    "unpaid",
    "paused",
    "incomplete",
    "incomplete_expired",
    "canceled",
    "no_subscription",
]
STATES: tuple[State, ...] = get_args(State)
# Stripe bills nothing, or nobody has paid for it: https://docs.stripe.com/billing/subscriptions/overview
_DENYING: Mapping[str, Reason] = {
    "unpaid": "unpaid",
    "paused": "paused",
    "incomplete": "incomplete",
    "incomplete_expired": "incomplete_expired",
    "canceled": "canceled",
}
# What somebody has to look at: the answer lets the organisation in because nobody knows better.
UNCERTAIN: frozenset[Reason] = frozenset({"unknown_status", "record_damaged"})


@dataclass(frozen=True, slots=True)
class Access:
    """Whether an organisation may use the service; as a condition it is true unless access is denied.

    `grace`: it may still, and should be told what is wrong. `since` is when this began, where that is known; `until`
    when it ends if nothing else happens before, None where no end is known. docs/events.md lists the reasons.
    """

    state: State
    reason: Reason
    until: datetime | None = None
    since: datetime | None = None

    def __bool__(self) -> bool:
        """Say whether the organisation may use the service."""
        return self.state != "denied"


@dataclass(frozen=True, slots=True)
class Facts:
    """What access depends on: an organisation's record, the attributes as `tables.subscriptions` has them.

    Of one that `is_damaged` a fact could not be read.
    """

    status: str | None = None
    trial_end: datetime | None = None
    past_due_since: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at: datetime | None = None
    cancel_at_period_end: bool | None = None
    ended_at: datetime | None = None
    is_damaged: bool = False

    @property
    def ends_at(self) -> datetime | None:
        """Return when the subscription is to end."""
        return self.cancel_at or (self.current_period_end if self.cancel_at_period_end else None)


FACTS = tuple(field.name for field in fields(Facts) if field.name != "is_damaged")


def facts_of(values: Mapping[str, Any], damaged: Collection[str] = ()) -> Facts:
    """Return the facts among a record's attributes; `damaged` are those that could not be read."""
    return Facts(**{name: values.get(name) for name in FACTS}, is_damaged=not set(FACTS).isdisjoint(damaged))


def access_at(facts: Facts | None, now: datetime, grace: timedelta) -> Access:
    """Decide at a moment; `grace` is how long a payment may be overdue, or a trial's end without news.

    Nobody is locked out for what this stack does not know: a record that is damaged, a status that Stripe has added
    since, a payment that is overdue since nobody knows when.
    """
    if facts is None:
        return Access("denied", "no_subscription")
    if facts.status is not None and facts.status in _DENYING:
        return Access("denied", _DENYING[facts.status], since=facts.ended_at)
    if facts.is_damaged:
        return Access("grace", "record_damaged")
    if facts.status is None:
        return Access("denied", "no_subscription")
    ended_at = _first(facts.ended_at, facts.ends_at)
    if ended_at is not None and ended_at <= now:
        # Stripe ends it now; the event that says so is on its way.
        return Access("denied", "canceled", since=ended_at)
    return _of_one_that_goes_on(facts, now, grace)


def _of_one_that_goes_on(facts: Facts, now: datetime, grace: timedelta) -> Access:
    ends_at = facts.ends_at
    if facts.status == "active":
        return Access("allowed", "canceling" if ends_at else "active", ends_at)
    if facts.status == "trialing":
        if facts.trial_end is not None and facts.trial_end <= now:
            # Stripe has made it active, paused or canceled; which of these an event tells that has not come yet.
            return _in_grace("trial_ended", facts.trial_end, grace, ends_at, now)
        is_ending = ends_at is not None and (facts.trial_end is None or ends_at <= facts.trial_end)
        return Access("allowed", "canceling" if is_ending else "trialing", _first(facts.trial_end, ends_at))
    if facts.status == "past_due":
        return _in_grace("past_due", facts.past_due_since, grace, ends_at, now)
    return Access("grace", "unknown_status", ends_at)


def _in_grace(
    reason: Reason, since: datetime | None, grace: timedelta, ends_at: datetime | None, now: datetime
) -> Access:
    if since is None:
        # Nothing is owed, as far as Stripe's invoices say: the one that was overdue may just have been paid, or voided.
        return Access("grace", reason, ends_at)
    if since + grace <= now:
        return Access("denied", reason, since=since + grace)
    return Access("grace", reason, _first(since + grace, ends_at), since)


def _first(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
