"""What an explanation is made of, read from the tables: an organisation's periods, and the hours of one of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from billing import history
from billing.clock import format_time
from billing.history import Entry
from billing.invoices.counting import is_of
from billing.invoices.explanation import ExplainedHour, Explanation, Place, explain
from billing.metered_subscriptions import BillingPeriod
from billing.meters import METERS
from billing.periods import Period, Totals, ceiling
from billing.tables.periods import periods_of, stored
from billing.tables.subscriptions import subscriptions_of
from billing.tables.usage import UsageRecord, hours_between
from billing.usage.reading import reason_of, state_of


def known_periods(organization_id: str, now: datetime) -> list[Period]:
    """Return an organisation's periods that have begun, the newest first; those too of which there is no item yet."""
    found = {period.span.key: period for period in map(stored, periods_of(organization_id))}
    for subscription in subscriptions_of(organization_id, consistent=True):
        for span in subscription.periods():
            if span.starts_at <= now:
                known = found.setdefault(span.key, Period(span))
                if not known.is_settled:
                    # What it sells now; its end may have moved.
                    meters = tuple(sorted({*known.meters, *subscription.meters}))
                    found[span.key] = replace(known, span=span, meters=meters)
    return sorted(found.values(), key=lambda period: (period.span.starts_at, period.span.subscription_id), reverse=True)


def explain_period(organization_id: str, period: Period, periods: list[Period], now: datetime) -> Explanation:
    """Explain one of an organisation's periods by its hours, read consistently; `periods` are all of them."""
    until = now if period.span.ends_at is None else min(now, period.span.ends_at)
    hours = []
    for record in hours_between(organization_id, period.span.first_hour, ceiling(until)):
        if record.start is not None:
            place: Place = "here" if is_of(record, period.span) else "elsewhere"
            hours.append(explained_hour(record, period.carried.get(record.window_start, {}), place))
    has_something = [hour for hour in hours if hour.counted or hour.carried or hour.history or hour.state == "damaged"]
    return explain(organization_id, period, periods, has_something, now)


def explained_hour(record: UsageRecord, carried: Totals, place: Place) -> ExplainedHour:
    """Return an hour as it is explained, with what of earlier periods it carries."""
    totals = {meter.event_name: record.own_total(meter.event_name) for meter in METERS}
    counted = {name: total for name, total in totals.items() if total is not None}
    told = history.read(record.history)
    entries = list(told.entries)
    if record.reported and record.reported_at is not None:
        under = max((record.reported_under or {}).values(), default=0)
        entries.append(Entry(format_time(record.reported_at), "reported", record.reported, under))
    return ExplainedHour(
        window_start=record.window_start,
        state=state_of(record),
        reason=reason_of(record),
        place=place,
        counted=counted,
        carried={name: number for name, number in carried.items() if number},
        held=tuple(name for name in counted if record.counted(name) is None),
        history=tuple(sorted(entries, key=lambda entry: entry.at)),
        left_out=told.left_out,
    )


def period_with(periods: list[Period], invoice_id: str) -> Period | None:
    """Return the period that has an invoice; None where none has."""
    return next((period for period in periods if invoice_id in period.invoices), None)


def period_at(periods: list[Period], moment: datetime, subscription_id: str | None) -> list[Period]:
    """Return the periods that begin at a moment, else those that it lies in; of one subscription, or of all."""

    def holds(span: BillingPeriod) -> bool:
        return span.starts_at <= moment and (span.ends_at is None or moment < span.ends_at)

    of_it = [each for each in periods if subscription_id in (None, each.span.subscription_id)]
    return [each for each in of_it if each.span.starts_at == moment] or [each for each in of_it if holds(each.span)]
