"""The number of a `last` meter in a new period: none was recorded yet, and Stripe would bill nothing.

By default it is told. With `HOLD_ACTIVE_SENSORS` the last number holds until another is recorded: the first whole hour
of a period tells Stripe the newest number from before it, unless it has one of its own.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from billing.clock import format_time
from billing.errors import ContentionError
from billing.invoices.counting import count_period
from billing.invoices.storage import change_period, log_fields
from billing.metered_subscriptions import BillingPeriod, MeteredSubscription
from billing.meters import LAST_METERS
from billing.periods import Period, Totals, ceiling
from billing.settings import holds_active_sensors
from billing.tables.usage import UsageRecord, hold_in_hour
from billing.telemetry import count, logger

ATTEMPTS = 5


def follow_number(
    organization_id: str, subscription: MeteredSubscription, ended: BillingPeriod, counted: Totals, now: datetime
) -> None:
    """Look at a period that has ended with what it `counted`, and at the one that begins with its end.

    What is missing in the first is told; what is to hold in the second is written.
    """
    missing = [name for name in LAST_METERS if name in subscription.meters and name not in counted]
    before = subscription.period_before(ended)
    if missing and before is not None:
        earlier = count_period(organization_id, before, now).counted
        _tell_missing(organization_id, ended, tuple(name for name in missing if earlier.get(name)), now)
    if holds_active_sensors() and not ended.is_last:
        following = next((each for each in subscription.periods() if each.starts_at == ended.ends_at), None)
        if following is not None:
            _hold(organization_id, following, {name: counted[name] for name in LAST_METERS if name in counted}, now)


def _tell_missing(organization_id: str, span: BillingPeriod, missing: tuple[str, ...], now: datetime) -> None:
    told_before = False

    def change(period: Period) -> Period:
        nonlocal told_before
        told_before = period.missing == missing
        return replace(period, missing=missing)

    if not missing:
        return
    change_period(organization_id, span, now, change)
    if not told_before:
        count("numbers_missing", len(missing))
        logger.error(
            "A billing period ended without a number that the one before had: Stripe bills nothing for it",
            extra=log_fields(organization_id, span) | {"meters": list(missing)},
        )


def _hold(organization_id: str, span: BillingPeriod, numbers: dict[str, int], now: datetime) -> None:
    """Let the first whole hour of a period tell Stripe the newest numbers from before it."""
    hour = ceiling(span.starts_at)
    if span.ends_at is not None and hour >= span.ends_at:
        return
    numbers |= {
        name: number
        for name, number in count_period(organization_id, span, hour).counted.items()
        if name in LAST_METERS
    }
    for _ in range(ATTEMPTS):
        record = UsageRecord.of(organization_id, format_time(hour))
        if not numbers or record.held == numbers or hold_in_hour(record, numbers):
            return
    raise ContentionError(f"The hour {format_time(hour)} of {organization_id} was being written by others")
