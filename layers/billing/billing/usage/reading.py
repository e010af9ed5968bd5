"""An organisation's usage, hour by hour: what was counted, what was reported, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from billing.clock import format_time
from billing.metered_subscriptions import MeteredSubscription, PeriodKey, covering
from billing.meters import METERS, Formula
from billing.periods import Period
from billing.periods import State as PeriodState
from billing.tables.periods import periods_of, stored
from billing.tables.subscriptions import subscriptions_of
from billing.tables.usage import UsageRecord, hours_between

State = Literal["due", "refused", "reported", "late", "unreported", "damaged"]
Number = int | float


@dataclass(frozen=True, slots=True)
class PeriodOfHour:
    """The billing period to which an hour belongs. `ends_at` is None while it is not known.

    `state`: `open` = there is no invoice yet; `draft` = there is one, and it still takes usage; `closed` = it is final;
    `not_invoiced` = no invoice bills the period, and none will.
    """

    starts_at: datetime
    ends_at: datetime | None
    state: PeriodState


@dataclass(frozen=True, slots=True)
class HourOfUsage:
    """An hour: counts and reported totals by meter.

    `state`: `due` = a run sends it once it has ended; `refused` = it cannot be billed, and `reason` says why;
    `reported` = Stripe has these totals; `late` = the invoice was final before: what it lacks is carried into an open
    period, or told; `unreported` = Stripe has other totals and no run will send these, because
    whoever wrote the count did not make the hour due; `damaged` = an attribute that `reason` names cannot be read.
    `not_sold` are the meters that were counted and that the subscription of the hour does not sell: Stripe has their
    totals and bills them only where a price is added before the period ends. `carried` is what earlier periods owe and
    the hour tells Stripe beside its own counts, by meter: `reported` has both together. `period` is None where it is
    not known.
    """

    window_start: str
    state: State
    counted: Mapping[str, Number]
    reported: Mapping[str, int]
    reason: str | None
    reported_at: datetime | None
    not_sold: tuple[str, ...] = ()
    carried: Mapping[str, int] = field(default_factory=dict)
    period: PeriodOfHour | None = None


@dataclass(frozen=True, slots=True)
class MeterTotal:
    """A meter's total over a range, as Stripe aggregates it: the hours' sum, or the last hour's number.

    `not_sold` is the part of `counted` that no subscription sells.
    """

    formula: Formula
    counted: Number
    reported: int
    not_sold: Number


def usage_between(organization_id: str, start: datetime, end: datetime) -> list[HourOfUsage]:
    """Return the organisation's hours that begin from `start` up to, not including, `end`.

    Hours without usage are left out.
    """
    subscriptions = subscriptions_of(organization_id)
    states = _states(organization_id)
    return [
        _hour(hour, subscriptions, _period(hour, subscriptions, states))
        for hour in hours_between(organization_id, start, end)
    ]


def periods_of_hours(organization_id: str, starts: Iterable[datetime]) -> dict[datetime, PeriodOfHour | None]:
    """Return the billing period of each of these hours, whether anything was counted in it or not."""
    subscriptions, states = subscriptions_of(organization_id), _states(organization_id)
    return {start: _period(UsageRecord(organization_id, format_time(start)), subscriptions, states) for start in starts}


def _states(organization_id: str) -> dict[PeriodKey, Period]:
    """Return the organisation's periods that have an item, but for damaged ones."""
    periods = (stored(record) for record in periods_of(organization_id))
    return {each.span.key: each for each in periods if not each.is_damaged}


def _period(
    record: UsageRecord,
    subscriptions: Sequence[MeteredSubscription],
    stored_periods: Mapping[PeriodKey, Period],
) -> PeriodOfHour | None:
    """Return the period of an hour: of the subscription that sold it, else (it is forgotten) one that has an item."""
    if record.start is None:
        return None
    subscription = covering(subscriptions, record.start)
    span = subscription.period_of(record.start) if subscription is not None else None
    if span is not None:
        period = stored_periods.get(span.key)
        return PeriodOfHour(span.starts_at, span.ends_at, period.state if period is not None else "open")
    for period in stored_periods.values():
        until = period.span.hours_until
        is_its_customers = record.reported_to in (None, period.span.customer_id)
        if period.span.first_hour <= record.start and until is not None and record.start < until and is_its_customers:
            return PeriodOfHour(period.span.starts_at, period.span.ends_at, period.state)
    return None


def totals(hours: Sequence[HourOfUsage]) -> dict[str, MeterTotal]:
    """Return every meter's total over hours in their order."""
    result = {}
    for meter in METERS:
        counted = [hour.counted[meter.event_name] for hour in hours if meter.event_name in hour.counted]
        reported = [hour.reported[meter.event_name] for hour in hours if meter.event_name in hour.reported]
        not_sold = [
            hour.counted[meter.event_name] * (meter.event_name in hour.not_sold)
            for hour in hours
            if meter.event_name in hour.counted
        ]
        if meter.formula == "last":
            counted, reported, not_sold = counted[-1:], reported[-1:], not_sold[-1:]
        result[meter.event_name] = MeterTotal(meter.formula, sum(counted), sum(reported), sum(not_sold))
    return result


def _hour(
    record: UsageRecord, subscriptions: Sequence[MeteredSubscription], period: PeriodOfHour | None
) -> HourOfUsage:
    counted = {meter.event_name: count for meter in METERS if (count := record.counted(meter.event_name)) is not None}
    reported = dict(record.reported or {})
    state = state_of(record)
    return HourOfUsage(
        window_start=record.window_start,
        state=state,
        counted=counted,
        reported=reported,
        reason=reason_of(record),
        reported_at=record.reported_at,
        not_sold=_not_sold(record, subscriptions) if state != "refused" else (),
        carried=dict(record.carried or {}),
        period=period,
    )


def reason_of(record: UsageRecord) -> str | None:
    """Return why an hour is refused, or what of it is damaged; None where it is neither."""
    if state_of(record) != "damaged":
        return record.refused
    return ", ".join(sorted(record.damaged)) + " cannot be read" if record.damaged else "window_start is no UTC hour"


def _not_sold(record: UsageRecord, subscriptions: Sequence[MeteredSubscription]) -> tuple[str, ...]:
    subscription = covering(subscriptions, record.start) if record.start is not None else None
    if subscription is None:
        return ()
    names = (meter.event_name for meter in METERS)
    return tuple(name for name in names if (record.counted(name) or 0) > 0 and name not in subscription.meters)


def state_of(record: UsageRecord) -> State:
    """Say what becomes of an hour; see `HourOfUsage`."""
    if record.damaged or record.start is None:
        return "damaged"
    if record.due_at:
        return "due"
    if record.refused:
        return "refused"
    totals = totals_of(record)
    if record.late is not None and record.late == totals:
        return "late"
    # What a meter of the past has reported is nobody's any more.
    reported = {name: number for name, number in (record.reported or {}).items() if name in totals}
    return "reported" if reported == totals else "unreported"


def totals_of(record: UsageRecord) -> dict[str, int]:
    """Return what Stripe is to count of an hour, by meter: what was counted, and what earlier periods bring into it."""
    totals = {}
    for meter in METERS:
        name = meter.event_name
        own, carried = record.own_total(name), (record.carried or {}).get(name)
        # A count that was removed after it was reported is a total of zero, as in metering's plan.
        if own is not None or carried is not None or name in (record.reported or {}):
            totals[name] = (own or 0) + (carried or 0)
    return totals
