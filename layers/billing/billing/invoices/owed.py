"""What periods owe each other: computed from what was counted and what was invoiced, never added up. No I/O.

For a `sum` meter a subscription owes what its settled periods count, less what their final invoices bill. Where that is
above zero, an open period of the same customer carries it; what cannot be carried is told, by these codes:

    too_much       invoiced, and not counted (any more)
    late_number    the newest number of a `last` meter is not the one that was invoiced
    not_in_units   a line's quantity may be in packages of its price (`transform_quantity`)
    not_invoiced   no invoice will bill it: the subscription was ended at once, or its invoice voided
    not_carried    owed, and no open period of that customer sells the meter, or nothing is to be carried
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from billing.clock import HOUR, format_time, hour_of, parse_time
from billing.invoices.boundary import bills_last_hour
from billing.metered_subscriptions import BillingPeriod, MeteredSubscription, PeriodKey, covering
from billing.meters import SUM_METERS
from billing.periods import Period, Totals, ceiling, total_of
from billing.stripe_limits import OLDEST_USAGE

# Stripe still takes an hour for so long when it is chosen to carry something.
TIME_TO_SEND = 2 * HOUR
CODES_OF_DIFFERENCES = ("too_much", "late_number", "not_in_units")


@dataclass(frozen=True, slots=True)
class Carry:
    """What an open period carries from now on, by hour; `owing` are the settled periods that it was computed from."""

    span: BillingPeriod
    before: Period | None
    carried: Mapping[str, Totals]
    owing: Sequence[Period]
    with_last_hour: bool = False


@dataclass(frozen=True, slots=True)
class Balance:
    """What follows from an organisation's periods: what each settled period tells, and what others carry."""

    told: Mapping[PeriodKey, Mapping[str, Totals]]
    carries: Sequence[Carry]


def balance(
    periods: Sequence[Period], subscriptions: Sequence[MeteredSubscription], now: datetime, *, carries: bool
) -> Balance:
    """Compute what each settled period tells, and what the open ones carry (nothing where not `carries`)."""
    with_last_hour = bills_last_hour(periods)
    told: dict[PeriodKey, dict[str, dict[str, int]]] = {each.span.key: {} for each in periods if each.is_settled}

    def tell(period: Period, code: str, event_name: str, number: int) -> None:
        if number:
            told[period.span.key].setdefault(code, {})[event_name] = number

    plans: dict[PeriodKey, Carry] = {}
    for period in periods:
        _tell_of(period, tell, with_last_hour=with_last_hour)
    for customer_id in sorted({period.span.customer_id for period in periods}):
        for event_name in SUM_METERS:
            accounts = _accounts(periods, customer_id, event_name, with_last_hour=with_last_hour)
            groups = _overlapping(accounts)
            owed = sum(map(_owed_by, groups))
            for period, number in _too_much(groups):
                tell(period, "too_much", event_name, number)
            targets = _targets(periods, subscriptions, customer_id, event_name, now)
            owing = [period for account in accounts for period in account.periods]
            _spread(plans, targets, event_name, owed if carries else 0, owing, now)
            carried = sum(total_of(plans[target.span.key].carried, event_name) for target in targets)
            if owed > carried:
                tell(
                    max((each.newest for each in accounts if each.owed > 0), key=_begin),
                    "not_carried",
                    event_name,
                    owed - carried,
                )
    plans = {key: replace(plan, with_last_hour=with_last_hour) for key, plan in plans.items()}
    return Balance(
        told, [plan for plan in plans.values() if plan.carried != (plan.before.carried if plan.before else {})]
    )


def _begin(period: Period) -> datetime:
    return period.span.starts_at


def _tell_of(period: Period, tell: Any, *, with_last_hour: bool) -> None:
    """Tell what a settled period alone shows."""
    if not period.is_settled or period.span.is_trial:
        return
    for event_name in period.meters:
        is_sum = event_name in SUM_METERS
        difference = period.counted_as(event_name, with_last_hour=with_last_hour) - period.invoiced(event_name)
        if _is_lost(period):
            tell(period, "not_invoiced", event_name, difference)
        elif not period.is_in_units:
            tell(period, "not_in_units", event_name, difference)
        elif not is_sum:
            tell(period, "late_number", event_name, difference)


def _is_lost(period: Period) -> bool:
    """Say whether nobody is billed for a period, by a person's decision: ended at once, or its invoice voided."""
    return period.was_voided or (period.state == "not_invoiced" and period.span.is_last)


@dataclass(frozen=True, slots=True)
class _Account:
    """What a subscription's settled periods owe of one meter."""

    periods: Sequence[Period]
    owed: int

    @property
    def newest(self) -> Period:
        return self.periods[-1]


def _accounts(periods: Sequence[Period], customer_id: str, event_name: str, *, with_last_hour: bool) -> list[_Account]:
    """Return what each subscription of a customer owes of a meter, the one that began first in front."""
    by_subscription: dict[str, list[Period]] = {}
    for period in sorted(periods, key=lambda each: each.span.starts_at):
        is_in_account = period.is_settled and period.is_in_units and not period.span.is_trial and not _is_lost(period)
        if is_in_account and period.span.customer_id == customer_id and event_name in period.meters:
            by_subscription.setdefault(period.span.subscription_id, []).append(period)
    return [
        _Account(
            group,
            sum(
                period.counted_as(event_name, with_last_hour=with_last_hour) - period.invoiced(event_name)
                for period in group
            ),
        )
        for group in by_subscription.values()
    ]


def _overlapping(accounts: Sequence[_Account]) -> list[list[_Account]]:
    """Group the accounts of subscriptions that were there at the same time, the one that began first in front."""
    groups: list[list[_Account]] = []
    until: datetime | None = None
    for account in accounts:
        starts_at, ends_at = account.periods[0].span.starts_at, account.newest.span.ends_at
        if until is not None and starts_at < until:
            groups[-1].append(account)
        else:
            groups.append([account])
        until = ends_at if until is None or (ends_at is not None and ends_at > until) else until
    return groups


def _owed_by(group: Sequence[_Account]) -> int:
    """Return what overlapping subscriptions owe: what was used while both sold the meter is on the invoices of both."""
    return max(account.owed for account in group)


def _too_much(groups: Sequence[Sequence[_Account]]) -> Iterator[tuple[Period, int]]:
    """Yield what was invoiced too much, with the period that tells it.

    What one subscription was billed too much makes up for what another one owes, before or after it: a late hour of the
    first is on an invoice of the second. What two bill at once does not: each has to be right by itself.
    """
    owed = sum(max(0, _owed_by(group)) for group in groups)
    for group in groups:
        made_up_for = min(owed, max(0, -_owed_by(group)))
        owed -= made_up_for
        for account in group:
            yield account.newest, max(0, -account.owed - made_up_for)


@dataclass(frozen=True, slots=True)
class _Target:
    """A period that carries something, or can: `hour` is where something new goes; None where its end has come."""

    span: BillingPeriod
    before: Period | None
    hour: datetime | None


def _targets(
    periods: Sequence[Period],
    subscriptions: Sequence[MeteredSubscription],
    customer_id: str,
    event_name: str,
    now: datetime,
) -> list[_Target]:
    """Return what can carry a customer's meter: what waits for its invoice and carries some already, an open period."""
    current = _open_period(periods, subscriptions, customer_id, event_name, now)
    waiting = [
        _Target(period.span, period, None)
        for period in sorted(periods, key=lambda each: each.span.starts_at)
        if not period.is_settled
        and period.span.customer_id == customer_id
        and period.carried_in(event_name)
        and (current is None or period.span.key != current.span.key)
    ]
    return waiting if current is None else [*waiting, current]


def _open_period(
    periods: Sequence[Period],
    subscriptions: Sequence[MeteredSubscription],
    customer_id: str,
    event_name: str,
    now: datetime,
) -> _Target | None:
    stored = {period.span.key: period for period in periods}
    for subscription in subscriptions:
        if subscription.customer_id != customer_id or event_name not in subscription.meters:
            continue
        for span in subscription.periods():
            if not span.starts_at <= now or span.has_ended(now) or span.is_trial:
                continue
            before = stored.get(span.key)
            hour = _hour_to_carry(span, now)
            its_subscription = covering(subscriptions, hour)
            is_its_customers = its_subscription is not None and its_subscription.customer_id == customer_id
            if is_its_customers and (before is None or not before.is_settled):
                return _Target(span, before, hour)
    return None


def _hour_to_carry(span: BillingPeriod, now: datetime) -> datetime:
    """Return the hour of an open period that tells Stripe what is owed: its first whole one, if Stripe still takes it.

    Wholly in the period, it is on that period's invoice whatever Stripe does with a boundary's hour.
    """
    first = ceiling(span.starts_at)
    if span.ends_at is not None and first >= span.ends_at:
        first = span.first_hour
    return first if first > now - OLDEST_USAGE + TIME_TO_SEND else hour_of(now)


def _spread(
    plans: dict[PeriodKey, Carry],
    targets: Sequence[_Target],
    event_name: str,
    owed: int,
    owing: Sequence[Period],
    now: datetime,
) -> None:
    """Plan what each target carries of a meter: what waits for its invoice keeps a share, the open one has the rest."""
    for target in targets:
        plan = plans.get(target.span.key) or Carry(
            target.span, target.before, dict(target.before.carried) if target.before else {}, ()
        )
        share = owed if target.hour is not None else min(owed, total_of(plan.carried, event_name))
        owed -= share
        carried = _changed(plan.carried, event_name, share, target.hour, now)
        relevant = {each.span.key: each for each in (*plan.owing, *owing)}
        plans[target.span.key] = Carry(target.span, target.before, carried, tuple(relevant.values()))


def _changed(
    carried: Mapping[str, Totals], event_name: str, share: int, hour: datetime | None, now: datetime
) -> dict[str, dict[str, int]]:
    """Return what the hours carry so that it is `share` together, as far as Stripe still takes a change of them."""
    result = {name: dict(totals) for name, totals in carried.items()}
    excess = total_of(carried, event_name) - share
    for name in sorted(result, reverse=True):
        if parse_time(name) > now - OLDEST_USAGE and excess > 0:
            less = min(excess, result[name].get(event_name, 0))
            result[name][event_name] = result[name].get(event_name, 0) - less
            excess -= less
    if excess < 0 and hour is not None:
        totals = result.setdefault(format_time(hour), {})
        totals[event_name] = totals.get(event_name, 0) - excess
    return result
