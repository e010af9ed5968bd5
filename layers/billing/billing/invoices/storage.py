"""Periods in their table: read, and changed only as they were read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from billing.clock import format_time
from billing.errors import ContentionError
from billing.metered_subscriptions import BillingPeriod
from billing.periods import Period
from billing.tables.periods import PeriodRecord, is_period_at_version, period_key, periods_of, stored
from billing.tables.usage import shard_of
from billing.telemetry import count, logger

ATTEMPTS = 20


def log_fields(organization_id: str, span: BillingPeriod) -> dict[str, str]:
    """Return what a log entry about a period names it by."""
    return {
        "organization_id": organization_id,
        "stripe_subscription_id": span.subscription_id,
        "period": format_time(span.starts_at),
    }


def read_periods(organization_id: str) -> list[Period]:
    """Read all periods of an organisation that have an item; one that cannot be read whole is told."""
    periods = [stored(record) for record in periods_of(organization_id)]
    for period in periods:
        if period.is_damaged:
            count("periods_damaged")
            message = "A billing period is damaged: nothing is carried until it can be read"
            logger.error(message, extra=log_fields(organization_id, period.span))
    return periods


def read_period(organization_id: str, key: str) -> Period | None:
    """Return a period by its range key; None where there is none."""
    try:
        return stored(PeriodRecord.get(organization_id, key, consistent_read=True))
    except PeriodRecord.DoesNotExist:
        return None


def change_period(
    organization_id: str, span: BillingPeriod, now: datetime, change: Callable[[Period], Period]
) -> Period:
    """Change a period as it is now, again where somebody else was first; return it as it is then.

    Raises:
        ContentionError: others kept writing it.
    """
    key = period_key(*span.key)
    for _ in range(ATTEMPTS):
        before = read_period(organization_id, key) or Period(span)
        after = change(replace(before, span=span))
        if after == before:
            return before
        after = replace(after, is_damaged=False, version=(before.version or 0) + 1)
        if PeriodRecord(organization_id, key).update_if(
            period_actions(organization_id, before, after, now), is_period_at_version(before.version)
        ):
            return after
    raise ContentionError(f"A period of {organization_id} was being written by others {ATTEMPTS} times")


def period_actions(organization_id: str, before: Period, after: Period, now: datetime) -> list[Any]:
    """Return what is to be set and removed so that an item says `after`; of a damaged one all is written."""
    old, new = _attributes(organization_id, before), _attributes(organization_id, after)
    is_new = before.version is None or before.is_damaged
    changed = {name: value for name, value in new.items() if is_new or old[name] != value}
    values: dict[str, Any] = changed | {"version": after.version, "updated_at": now}
    # A mapping, like a text, that says nothing is not there.
    return [
        getattr(PeriodRecord, name).remove() if value in (None, "", {}, []) else getattr(PeriodRecord, name).set(value)
        for name, value in values.items()
        if value not in (None, "", {}, []) or before.version is not None
    ]


def _attributes(organization_id: str, period: Period) -> dict[str, Any]:
    span, is_draft = period.span, period.state == "draft" and period.finalizes_at is not None
    return {
        "stripe_subscription_id": span.subscription_id,
        "stripe_customer_id": span.customer_id,
        "starts_at": span.starts_at,
        "ends_at": span.ends_at,
        "is_first": span.is_first,
        "is_last": span.is_last,
        "is_trial": span.is_trial,
        "state": period.state,
        "draft_shard": shard_of(organization_id) if is_draft else None,
        "finalizes_at": format_time(period.finalizes_at) if is_draft and period.finalizes_at else None,
        "last_hour_is": period.last_hour_is,
        **{name: list(getattr(period, name)) for name in ("meters", "late_hours", "carried_why", "missing")},
        **{
            name: dict(getattr(period, name))
            for name in ("invoices", "counted", "in_first_hour", "in_last_hour", "carried", "told", "reached")
        },
    }
