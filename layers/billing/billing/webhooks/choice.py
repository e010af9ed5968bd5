"""Which of an organisation's subscriptions its record follows. Nothing here does I/O."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.clock import HOUR
from billing.metered_subscriptions import MeteredSubscription
from billing.stripe_gateway.objects import StripeSubscription
from billing.stripe_limits import OLDEST_USAGE
from billing.webhooks.events import Pointer


@dataclass(frozen=True, slots=True)
class StoredSubscription:
    """An organisation's record as it was read; its attributes are those of `tables.subscriptions`.

    Of one that `is_damaged` an attribute could not be read, and is None: the record is fetched anew, and all of it
    written.
    """

    organization_id: str
    stripe_customer_id: str | None = None
    stripe_subscription_id: str | None = None
    status: str | None = None
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at: datetime | None = None
    cancel_at_period_end: bool | None = None
    trial_end: datetime | None = None
    past_due_since: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    price_ids: Collection[str] | None = None
    customer_ids: Collection[str] | None = None
    customers_claimed: bool | None = None
    metered_subscriptions: Sequence[MeteredSubscription] | None = None
    fetched_at: datetime | None = None
    fetched_from: float | None = None
    refreshing_since: float | None = None
    version: float | None = None
    last_event_id: str | None = None
    rearm_from: datetime | None = None
    access: str | None = None
    access_reason: str | None = None
    access_until: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    is_damaged: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What Stripe has: the subscriptions of all customers that the organisation has had, ended ones too."""

    subscriptions: Sequence[StripeSubscription]
    customer_ids: Collection[str]
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a refresh stores: the subscription to follow, and when it began to ask.

    `all_subscriptions` are those that were found, the best to follow first; `metered_subscriptions` those of them that
    sell our meters, or sold them in hours that Stripe takes usage of.
    """

    subscription: StripeSubscription
    all_subscriptions: Sequence[StripeSubscription]
    customer_ids: Collection[str]
    fetched_at: datetime
    metered_subscriptions: tuple[MeteredSubscription, ...]


def choose(found: Found, record: StoredSubscription | None) -> Fetched | None:
    """Choose the subscription to follow; None where there is none.

    It sells one of our meters, or is the one that the record follows already: another product's is never followed. Of
    these it is the newest that bills, else the newest that lives (unpaid, paused, incomplete), else the newest.
    """
    ranked = sorted(found.subscriptions, key=_rank, reverse=True)
    followed_id = record.stripe_subscription_id if record is not None else None
    ours = [each for each in ranked if each.meters or each.subscription_id == followed_id]
    if not ours:
        return None
    oldest = found.fetched_at - OLDEST_USAGE
    known = {each.subscription_id: each.period_starts for each in (record and record.metered_subscriptions) or ()}
    metered = tuple(
        _metered(each, known.get(each.subscription_id, ()), oldest)
        for each in ranked
        if each.meters and each.has_begun and (each.ended_at is None or each.ended_at > oldest)
    )
    customer_ids = {*found.customer_ids, ours[0].customer_id}
    return Fetched(ours[0], ranked, customer_ids, found.fetched_at, metered)


def _metered(
    subscription: StripeSubscription, known_starts: Sequence[datetime], oldest: datetime
) -> MeteredSubscription:
    """Return what is remembered of a subscription: of its periods those that Stripe has shown at some time.

    The present period's end begins the next one, unless the subscription ends by then.
    """
    current, following, ended_at = (
        subscription.current_period_start,
        subscription.current_period_end,
        subscription.ended_at,
    )
    starts = {subscription.started_at, *([current] if current else ())}
    starts |= {start for start in known_starts if current is None or start <= current}
    if not known_starts:
        starts |= set(_starts_gone_by(subscription, oldest))
    ends_by_then = subscription.cancel_at_period_end or (
        subscription.cancel_at is not None and following is not None and subscription.cancel_at <= following
    )
    if following is not None and not ends_by_then:
        starts.add(following)
    ends_by = (subscription.cancel_at or following) if ends_by_then else None
    # Of the hours that Stripe takes usage of, each has its period's start, if it is known.
    first = max((start for start in starts if start <= oldest - HOUR), default=oldest - HOUR)
    return MeteredSubscription(
        subscription.subscription_id,
        subscription.customer_id,
        subscription.started_at,
        ended_at,
        subscription.meters,
        tuple(sorted(start for start in starts if start >= first and (ended_at is None or start < ended_at))),
        subscription.trial_end,
        ends_by,
    )


def _starts_gone_by(subscription: StripeSubscription, oldest: datetime) -> Iterator[datetime]:
    """Yield when periods began before the present one, of a subscription of which no record knows any.

    Stripe shows the present period alone. Those before it were as long, by the calendar: so it is with a record that is
    of an older version, or was lost. Else all the months since the start would look like one period.
    """
    current, following, trial_end = (
        subscription.current_period_start,
        subscription.current_period_end,
        subscription.trial_end,
    )
    if current is None or following is None or following <= current:
        return
    began = subscription.started_at
    if trial_end is not None and trial_end <= current:
        began = trial_end
        yield trial_end
    start = current
    while start > began:
        yield start
        if start <= oldest - HOUR:
            return
        start, following = _period_start_before(start, following), start


def _period_start_before(start: datetime, following: datetime) -> datetime:
    """Return when the period began that ended at `start`, by the length of the one from `start` to `following`.

    Of months that is the same day of the month before, or its last: https://docs.stripe.com/billing/subscriptions/billing-cycle
    """
    months = 12 * (following.year - start.year) + following.month - start.month
    is_by_months = months > 0 and (
        _in_month(start, months, start.day) == following or _in_month(following, -months, following.day) == start
    )
    return _in_month(start, -months, max(start.day, following.day)) if is_by_months else start - (following - start)


def _in_month(moment: datetime, months: int, day: int) -> datetime:
    """Return the moment so many months later, on that day or the month's last."""
    year, month = divmod(12 * moment.year + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(day, monthrange(year, month + 1)[1]))


def _rank(subscription: StripeSubscription) -> tuple[bool, int, int, str]:
    living = 2 if subscription.bills else 1 if subscription.is_living else 0
    return bool(subscription.meters), living, subscription.created, subscription.subscription_id


def is_conflict(pointer: Pointer, record: StoredSubscription | None, found: Found, *, relinks: bool) -> bool:
    """Say whether following an event would move the organisation to another customer on a buyer's word alone.

    Whoever opens a payment link chooses its `client_reference_id`: it links an organisation that has no customer yet;
    where the setting `relinks` says so, also one none of whose subscriptions lives. Metadata is the seller's word.
    """
    known = customers_of(record)
    if not pointer.is_buyers_word or not known:
        return False
    pointed = next((each for each in found.subscriptions if each.subscription_id == pointer.subscription_id), None)
    customer_id = pointer.customer_id if pointed is None else pointed.customer_id
    if customer_id in known or (pointed is not None and pointed.organization_id == pointer.organization_id):
        return False
    is_subscribed = any(each.is_living and each.customer_id in known and each.meters for each in found.subscriptions)
    return is_subscribed or not relinks


def billed_twice(fetched: Fetched) -> tuple[str, ...]:
    """Return the subscriptions that bill a meter which another of the organisation's bills at the same time."""
    billing = [each for each in fetched.all_subscriptions if each.bills and each.meters]
    return tuple(
        each.subscription_id
        for each in billing
        if any(other is not each and set(other.meters) & set(each.meters) for other in billing)
    )


def customers_of(record: StoredSubscription | None) -> frozenset[str]:
    """Return all customers that the organisation has, or had."""
    if record is None:
        return frozenset()
    return frozenset(filter(None, {*(record.customer_ids or ()), record.stripe_customer_id}))


def claimed_customers(record: StoredSubscription | None) -> frozenset[str]:
    """Return the customers of which CustomersTable says already that the organisation has them."""
    if record is None or not record.customers_claimed:
        return frozenset()
    return frozenset(record.customer_ids or ())
