"""A period and its invoices are stored, and what follows from them is written: what is carried, and what is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from billing.clock import parse_time
from billing.errors import ContentionError
from billing.invoices.boundary import seen_of_last_hour
from billing.invoices.counting import MOST_LATE_HOURS, count_period
from billing.invoices.owed import CODES_OF_DIFFERENCES, Balance, Carry, balance
from billing.invoices.reasons import Reason
from billing.invoices.storage import ATTEMPTS, change_period, log_fields, period_actions, read_periods
from billing.metered_subscriptions import BillingPeriod, MeteredSubscription, PeriodKey
from billing.periods import InvoiceOfPeriod, Period, Totals, with_invoice
from billing.settings import carries_late_usage
from billing.stripe_gateway.invoices import StripeInvoice
from billing.tables.periods import PeriodRecord, is_period_at_version, period_key
from billing.tables.subscriptions import subscriptions_of
from billing.tables.table import connection, is_overtaken
from billing.tables.usage import UsageRecord, carrying_actions, is_at_version
from billing.telemetry import count, logger

# A transaction takes 100 items; the others are hours that carry something.
MOST_PERIODS = 90


def store_invoice(
    organization_id: str, span: BillingPeriod, invoice: StripeInvoice, meters: Iterable[str], now: datetime
) -> Period:
    """Store an invoice with its period, as Stripe has it now; a final one that bills the period's end settles it.

    `meters` are those that the subscription sells now; what the lines bill it has sold as well.
    """
    # Several lines of a meter, be it for tiers, prices or parts of a period, bill it together.
    quantities: dict[str, int] = {}
    for line in invoice.lines:
        if span.starts_at <= line.starts_at and (span.ends_at is None or line.starts_at < span.ends_at):
            quantities[line.event_name] = quantities.get(line.event_name, 0) + line.quantity
    entry = InvoiceOfPeriod(
        invoice.status,
        quantities,
        closes=span.ends_at is not None and invoice.ends_at >= span.ends_at,
        in_units=all(line.is_in_units for line in invoice.lines),
    )

    def change(period: Period) -> Period:
        after = with_invoice(period, invoice.invoice_id, entry, invoice.finalizes_at, meters)
        return _counted(organization_id, after, now, invoice.finalized_at) if after.is_settled else after

    return change_period(organization_id, span, now, change)


def settle_without_invoice(organization_id: str, span: BillingPeriod, meters: Iterable[str], now: datetime) -> Period:
    """Settle a period that no further invoice is going to bill: as closed by those that it has, or not invoiced."""

    def change(period: Period) -> Period:
        if period.is_settled or period.state == "draft":
            return period
        is_invoiced = any(invoice.is_final for invoice in period.invoices.values())
        sold = tuple(sorted({*period.meters, *meters}))
        after = replace(period, state="closed" if is_invoiced else "not_invoiced", meters=sold)
        return _counted(organization_id, after, now, span.ends_at)

    return change_period(organization_id, span, now, change)


def recount(organization_id: str, period: Period, now: datetime, late_hours: Iterable[str] = ()) -> Period:
    """Count a settled period's hours anew, because one of them has changed: `late_hours`, after it was settled."""

    def change(current: Period) -> Period:
        if not current.is_settled:
            return current
        late = tuple(sorted({*current.late_hours, *late_hours})[-MOST_LATE_HOURS:])
        return _counted(organization_id, replace(current, late_hours=late), now, None)

    return change_period(organization_id, period.span, now, change)


def _counted(organization_id: str, period: Period, now: datetime, final_since: datetime | None) -> Period:
    counted = count_period(organization_id, period.span, now, final_since)
    late_hours = tuple(sorted({*period.late_hours, *counted.late_hours}))
    after = replace(
        period,
        counted=counted.counted,
        in_first_hour=counted.in_first_hour,
        in_last_hour=counted.in_last_hour,
        late_hours=late_hours,
    )
    # What its invoice once showed stays, whatever is counted later.
    return replace(after, last_hour_is=period.last_hour_is or seen_of_last_hour(after))


def write_balance(organization_id: str, now: datetime) -> None:
    """Write what follows from an organisation's periods: what open ones carry, what settled ones tell.

    Raises:
        ContentionError: others kept writing the same items.
    """
    for _ in range(ATTEMPTS):
        periods = read_periods(organization_id)
        if any(period.is_damaged for period in periods):
            # What cannot be read may be what was invoiced: whoever carried it would bill it twice.
            return
        subscriptions = subscriptions_of(organization_id, consistent=True)
        changes = _changes(periods, balance(periods, subscriptions, now, carries=carries_late_usage()))
        if not changes:
            return
        together = changes[: MOST_PERIODS // 2]
        others = _unchanged(periods, subscriptions, together)[len(together) - MOST_PERIODS :]
        if _write(organization_id, together, others, now):
            for before, after in together:
                _log(organization_id, before, after)
            if together == changes:
                return
    raise ContentionError(f"What {organization_id} owes was being written by others {ATTEMPTS} times")


def is_behind(periods: Sequence[Period], subscriptions: Sequence[MeteredSubscription], now: datetime) -> bool:
    """Say whether something follows from these periods that nobody has written: whoever was to do so has died."""
    return bool(_changes(periods, balance(periods, subscriptions, now, carries=carries_late_usage())))


Change = tuple[Period, Period]
"""A period as it was read, and as it is to be."""


def _changes(periods: Iterable[Period], result: Balance) -> list[Change]:
    """Return the periods that are to carry or to tell something else than they do."""
    changes = []
    for carry in result.carries:
        before = carry.before or Period(carry.span)
        changes.append((before, replace(before, carried=carry.carried, carried_why=_why(carry))))
    for period in periods:
        told = result.told.get(period.span.key)
        if told is not None and told != period.told:
            changes.append((period, replace(period, told=told)))
    return changes


def _unchanged(
    periods: Iterable[Period], subscriptions: Iterable[MeteredSubscription], changes: Iterable[Change]
) -> list[tuple[PeriodKey, int | None]]:
    """Return all other periods that are known, the newest last, and the versions that were read; None: no item."""
    versions: dict[PeriodKey, int | None] = {
        span.key: None for subscription in subscriptions for span in subscription.periods()
    }
    versions |= {period.span.key: period.version for period in periods}
    for before, _ in changes:
        versions.pop(before.span.key, None)
    return sorted(versions.items(), key=lambda each: each[0][1])


def _write(
    organization_id: str, changes: Iterable[Change], others: Iterable[tuple[PeriodKey, int | None]], now: datetime
) -> bool:
    """Write periods and the hours in which they carry; False where one of them, or of `others`, was written since."""
    try:
        with TransactWrite(connection=connection()) as transaction:
            for before, after in changes:
                transaction.update(
                    PeriodRecord(organization_id, period_key(*before.span.key)),
                    actions=period_actions(
                        organization_id, before, replace(after, version=(before.version or 0) + 1), now
                    ),
                    condition=is_period_at_version(before.version),
                )
                for window_start, totals in after.carried.items():
                    if dict(before.carried.get(window_start, {})) != dict(totals):
                        _carry_in_hour(transaction, organization_id, window_start, totals, before.span.customer_id, now)
            for key, version in others:
                transaction.condition_check(
                    PeriodRecord, organization_id, period_key(*key), condition=is_period_at_version(version)
                )
    except TransactWriteError as error:
        if is_overtaken(error):
            return False
        raise
    return True


def _carry_in_hour(
    transaction: TransactWrite, organization_id: str, window_start: str, totals: Totals, customer_id: str, now: datetime
) -> None:
    hour = UsageRecord.of(organization_id, window_start)
    is_its_customers = UsageRecord.reported_to.does_not_exist() | (UsageRecord.reported_to == customer_id)
    transaction.update(
        UsageRecord(organization_id, window_start),
        actions=carrying_actions(hour, {**(hour.carried or {}), **totals}, now),
        condition=is_at_version(hour.version) & is_its_customers,
    )


def _why(carry: Carry) -> list[str]:
    """Explain what is carried, a line for each period that has a part in it."""
    lines = []
    for period in carry.owing:
        for event_name in sorted({name for totals in carry.carried.values() for name in totals}):
            counted = period.counted_as(event_name, with_last_hour=carry.with_last_hour)
            invoiced = period.invoiced(event_name)
            if counted != invoiced:
                starts_at, ends_at = period.span.starts_at, period.span.ends_at
                invoices, late_hours = tuple(sorted(period.invoices)), tuple(period.late_hours)
                reason = Reason(event_name, starts_at, ends_at, counted, invoiced, invoices, late_hours)
                lines.append(str(reason))
    return lines


def _log(organization_id: str, before: Period, after: Period) -> None:
    """Log and count what a period carries and tells anew."""
    fields = log_fields(organization_id, before.span)
    if after.carried != before.carried:
        logger.info("What is owed is carried", extra=fields | {"carried": list(after.carried_why)})
    for code, totals in after.told.items():
        if before.told.get(code) == totals:
            continue
        is_difference = code in CODES_OF_DIFFERENCES
        units = sum(abs(number) for number in totals.values())
        count("invoices_differing" if is_difference else "usage_not_invoiced", 1 if is_difference else units)
        logger.error(
            "An invoice is not what was counted" if is_difference else "Usage is on no invoice",
            extra=fields | {"stripe_invoice_ids": sorted(before.invoices), "code": code, "difference": dict(totals)},
        )


def settle_up(organization_id: str, span: BillingPeriod, now: datetime) -> None:
    """Write what follows once a period is settled.

    It is counted once more: until everybody could see that it is settled, a run may have sent what nobody has counted.
    The one before it too: the hour in which this one began may have changed for it.
    """
    for period in read_periods(organization_id):
        is_before = period.span.subscription_id == span.subscription_id and period.span.ends_at == span.starts_at
        if period.is_settled and (is_before or period.span.key == span.key):
            recount(organization_id, period, now)
    write_balance(organization_id, now)


def take_late(organization_id: str, window_starts: Iterable[str], now: datetime) -> None:
    """Take hours into account that were counted after their invoice was final: what is owed is computed anew.

    The hours can then be settled, if they still count what they did before this call.
    """
    hours = {window_start: parse_time(window_start) for window_start in window_starts}
    for period in read_periods(organization_id):
        until = period.reaches_to(with_last_hour=True)
        inside = [
            window_start
            for window_start, hour in hours.items()
            if period.span.first_hour <= hour and (until is None or hour < until)
        ]
        if period.is_settled and inside:
            recount(organization_id, period, now, inside)
    write_balance(organization_id, now)
