"""A period and its invoices are stored, and what follows from them is written: what is carried, and what is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from billing.clock import format_time, parse_time
from billing.errors import ContentionError
from billing.invoices.boundary import seen_of_last_hour
from billing.invoices.counting import MOST_LATE_HOURS, count_period
from billing.invoices.owed import CODES_OF_DIFFERENCES, Carry, balance
from billing.invoices.storage import ATTEMPTS, change_period, log_fields, period_actions, read_periods
from billing.metered_subscriptions import BillingPeriod, PeriodKey
from billing.periods import InvoiceOfPeriod, Period, State, Totals
from billing.settings import carries_late_usage
from billing.stripe_gateway.invoices import StripeInvoice
from billing.tables.periods import PeriodRecord, is_period_at_version, period_key
from billing.tables.subscriptions import subscriptions_of
from billing.tables.table import connection, is_overtaken
from billing.tables.usage import UsageRecord, carrying_actions, is_at_version
from billing.telemetry import count, logger

# A transaction takes 100 items; two are the period's and the hour's own.
MOST_CHECKS = 90


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
        invoices = {**period.invoices, invoice.invoice_id: entry}
        sold = tuple(sorted({*period.meters, *meters, *quantities}))
        after = replace(period, invoices=invoices, meters=sold, state=_state(period.state, invoices))
        finalizes_at = invoice.finalizes_at if entry.closes else period.finalizes_at
        after = replace(after, finalizes_at=finalizes_at if after.state == "draft" else None)
        return _counted(organization_id, after, now, invoice.finalized_at) if after.is_settled else after

    return change_period(organization_id, span, now, change)


def _state(state: State, invoices: Mapping[str, InvoiceOfPeriod]) -> State:
    closing = [invoice for invoice in invoices.values() if invoice.closes]
    if any(invoice.is_final for invoice in closing):
        return "closed"
    if any(invoice.status == "draft" for invoice in closing):
        return "draft"
    return "not_invoiced" if closing else state


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
        # What carries is read first: see the package's docstring.
        versions = {period.span.key: period.version for period in read_periods(organization_id)}
        periods = [
            replace(period, version=versions.get(period.span.key)) if not period.is_settled else period
            for period in read_periods(organization_id)
        ]
        if any(period.is_damaged for period in periods):
            # What cannot be read may be what was invoiced: whoever carried it would bill it twice.
            return
        subscriptions = subscriptions_of(organization_id, consistent=True)
        result = balance(periods, subscriptions, now, carries=carries_late_usage())
        if all(_carry(organization_id, carry, now) for carry in result.carries):
            _tell(organization_id, periods, result.told, now)
            return
    raise ContentionError(f"What {organization_id} owes was being written by others {ATTEMPTS} times")


def _carry(organization_id: str, carry: Carry, now: datetime) -> bool:
    """Write what a period carries, into the period's item and its hours'; False where one of them has changed."""
    before = carry.before or Period(carry.span)
    after = replace(before, carried=carry.carried, carried_why=_why(carry), version=(before.version or 0) + 1)
    changed = {
        name: totals for name, totals in carry.carried.items() if dict(before.carried.get(name, {})) != dict(totals)
    }
    try:
        with TransactWrite(connection=connection()) as transaction:
            transaction.update(
                PeriodRecord(organization_id, period_key(*carry.span.key)),
                actions=period_actions(organization_id, before, after, now),
                condition=is_period_at_version(before.version),
            )
            for owing in carry.owing[-MOST_CHECKS:]:
                transaction.condition_check(
                    PeriodRecord,
                    organization_id,
                    period_key(*owing.span.key),
                    condition=is_period_at_version(owing.version),
                )
            for window_start, totals in changed.items():
                _carry_in_hour(transaction, organization_id, window_start, totals, carry.span.customer_id)
    except TransactWriteError as error:
        if is_overtaken(error):
            return False
        raise
    logger.info(
        "What is owed is carried", extra={"organization_id": organization_id, "carried": list(after.carried_why)}
    )
    return True


def _carry_in_hour(
    transaction: TransactWrite, organization_id: str, window_start: str, totals: Totals, customer_id: str
) -> None:
    hour = UsageRecord.of(organization_id, window_start)
    is_its_customers = UsageRecord.reported_to.does_not_exist() | (UsageRecord.reported_to == customer_id)
    transaction.update(
        UsageRecord(organization_id, window_start),
        actions=carrying_actions(hour, {**(hour.carried or {}), **totals}),
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
                span = period.span
                end = format_time(span.ends_at) if span.ends_at else "now"
                late = f"; after it was final came {', '.join(period.late_hours)}" if period.late_hours else ""
                invoices = ", ".join(sorted(period.invoices)) or "no invoice"
                lines.append(
                    f"{event_name} from {format_time(span.starts_at)} to {end}: {counted} counted, {invoiced} on "
                    f"{invoices}{late}"
                )
    return lines


def _tell(
    organization_id: str, periods: Iterable[Period], told: Mapping[PeriodKey, Mapping[str, Totals]], now: datetime
) -> None:
    """Store what each settled period tells; what it tells anew is counted and logged."""
    for period in periods:
        tells = told.get(period.span.key)
        if tells is None or tells == period.told:
            continue
        before = period.told

        def change(current: Period, tells: Mapping[str, Totals] = tells) -> Period:
            return replace(current, told=tells)

        change_period(organization_id, period.span, now, change)
        for code, totals in tells.items():
            if before.get(code) == totals:
                continue
            is_difference = code in CODES_OF_DIFFERENCES
            units = sum(abs(number) for number in totals.values())
            count("invoices_differing" if is_difference else "usage_not_invoiced", 1 if is_difference else units)
            logger.error(
                "An invoice is not what was counted" if is_difference else "Usage is on no invoice",
                extra=log_fields(organization_id, period.span)
                | {
                    "stripe_invoice_ids": sorted(period.invoices),
                    "code": code,
                    "difference": dict(totals),
                },
            )


def settle_up(organization_id: str, span: BillingPeriod, now: datetime) -> None:
    """Write what follows once a period is settled: the hour in which it began may have changed for the one before."""
    for period in read_periods(organization_id):
        is_before = period.span.subscription_id == span.subscription_id and period.span.ends_at == span.starts_at
        if is_before and period.is_settled:
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
