"""Billing periods as PeriodsTable has them: the values that what is owed is computed from. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from billing.clock import HOUR, hour_of
from billing.metered_subscriptions import BillingPeriod
from billing.meters import SUM_METERS

Totals = Mapping[str, int]
"""A whole number by the event name of a meter."""

State = Literal["open", "draft", "closed", "not_invoiced"]
LastHour = Literal["", "here", "next"]
# Lines of these no longer change: somebody owes them, or has paid them.
FINAL_STATUSES = frozenset({"open", "paid", "uncollectible"})
# In the order in which one may follow another: https://docs.stripe.com/invoicing/overview#invoice-statuses
STATUSES = ("draft", "open", "uncollectible", "paid", "void")


@dataclass(frozen=True, slots=True)
class InvoiceOfPeriod:
    """What one invoice bills of a period: `quantities` in the lines of our meters.

    `status` is Stripe's word; it `closes` the period where it bills the usage until its end. Not `in_units`: a line's
    quantity may be in packages of its price.
    """

    status: str
    quantities: Totals
    closes: bool
    in_units: bool = True

    @property
    def is_final(self) -> bool:
        """Say whether its lines bill something, and no longer change."""
        return self.status in FINAL_STATUSES

    def is_overtaken_by(self, other: InvoiceOfPeriod) -> bool:
        """Say whether the invoice was like this before it was as another one is."""
        is_known = {self.status, other.status} <= set(STATUSES)
        return is_known and STATUSES.index(self.status) < STATUSES.index(other.status)


@dataclass(frozen=True, slots=True)
class Period:
    """A period of an organisation's subscription, as its item has it.

    `state`: `open` = there is no invoice of it, or only of a part; `draft` = its invoice is a draft, made final at
    `finalizes_at`; `closed` = it is final, and the period's hours are not sent again; `not_invoiced` = no invoice
    bills it, and none will.

    `invoices` has its invoices by id. `meters` are those that the subscription sold in it. `counted` is what its hours
    count: their sum, or the newest number. `in_first_hour` is the part of that in the hour in which the period before
    ended (the newest number, if it is of that hour), `in_last_hour` what the hour counts in which this one ends, and
    which belongs to the next; `last_hour_is` says with which of the two Stripe has billed it, where that was seen.
    `late_hours` are those that were counted, or reached Stripe, after the invoice was final.

    `carried` is what earlier periods owe and an hour of this one tells Stripe, by that hour; `carried_why` explains it.
    `told` is what differs and is not carried, by a code of `billing.invoices.owed`; `missing` are the `last` meters of
    which no number was recorded in it, though there was one in the period before. `reached` are the limits of
    `billing.thresholds` that it has reached, by meter, with what was counted when that was first seen.
    """

    span: BillingPeriod
    state: State = "open"
    version: int | None = None
    finalizes_at: datetime | None = None
    invoices: Mapping[str, InvoiceOfPeriod] = field(default_factory=dict)
    meters: Sequence[str] = ()
    counted: Totals = field(default_factory=dict)
    in_first_hour: Totals = field(default_factory=dict)
    in_last_hour: Totals = field(default_factory=dict)
    last_hour_is: LastHour = ""
    late_hours: Sequence[str] = ()
    carried: Mapping[str, Totals] = field(default_factory=dict)
    carried_why: Sequence[str] = ()
    told: Mapping[str, Totals] = field(default_factory=dict)
    missing: Sequence[str] = ()
    reached: Mapping[str, Totals] = field(default_factory=dict)
    is_damaged: bool = False

    @property
    def is_settled(self) -> bool:
        """Say whether its hours are not sent again."""
        return self.state in ("closed", "not_invoiced")

    @property
    def was_voided(self) -> bool:
        """Say whether the invoice that would have closed it bills nobody: a person has decided that."""
        closing = [invoice for invoice in self.invoices.values() if invoice.closes]
        return bool(closing) and all(invoice.status == "void" for invoice in closing)

    @property
    def is_in_units(self) -> bool:
        """Say whether the quantities of its final invoices are units."""
        return all(invoice.in_units for invoice in self.invoices.values() if invoice.is_final)

    def invoiced(self, event_name: str) -> int:
        """Return what its final invoices bill for a meter, together."""
        return sum(invoice.quantities.get(event_name, 0) for invoice in self.invoices.values() if invoice.is_final)

    def carried_in(self, event_name: str) -> int:
        """Return what earlier periods owe of a meter and this one bills."""
        return total_of(self.carried, event_name)

    def counted_as(self, event_name: str, *, with_last_hour: bool) -> int:
        """Return what it counts of a meter, with the hour in which it ends or with that in which it begins."""
        counted, first = self.counted.get(event_name, 0), self.in_first_hour.get(event_name, 0)
        last = self.in_last_hour.get(event_name)
        if not with_last_hour:
            return counted
        # Of a `last` meter the newest number stands: that of the last hour, else any but that of the first.
        is_sum = event_name in SUM_METERS
        return counted - first + (last or 0) if is_sum or last is None else last

    def reaches_to(self, *, with_last_hour: bool) -> datetime | None:
        """Return the end of its hours; None where it is not known."""
        if self.span.ends_at is None or not with_last_hour:
            return self.span.hours_until
        return ceiling(self.span.ends_at)

    def begins_with(self, *, with_last_hour: bool) -> datetime:
        """Return the start of its first hour."""
        return ceiling(self.span.starts_at) if with_last_hour and not self.span.is_first else self.span.first_hour


def with_invoice(
    period: Period, invoice_id: str, invoice: InvoiceOfPeriod, finalizes_at: datetime | None, meters: Iterable[str]
) -> Period:
    """Return a period as it is with one of its invoices as Stripe has it.

    `finalizes_at` is when that invoice is made final, `meters` are those that the subscription sells now; what the
    invoice bills it has sold as well. One that was fetched before what is known of it changes nothing.
    """
    known = period.invoices.get(invoice_id)
    if known is not None and invoice.is_overtaken_by(known):
        return period
    invoices = {**period.invoices, invoice_id: invoice}
    sold = tuple(sorted({*period.meters, *meters, *invoice.quantities}))
    state = _state(period.state, invoices)
    finalizes_at = finalizes_at if invoice.closes else period.finalizes_at
    return replace(
        period,
        invoices=invoices,
        meters=sold,
        state=state,
        finalizes_at=finalizes_at if state == "draft" else None,
    )


def _state(state: State, invoices: Mapping[str, InvoiceOfPeriod]) -> State:
    closing = [invoice for invoice in invoices.values() if invoice.closes]
    if any(invoice.is_final for invoice in closing):
        return "closed"
    if any(invoice.status == "draft" for invoice in closing):
        return "draft"
    return "not_invoiced" if closing else state


def total_of(carried: Mapping[str, Totals], event_name: str) -> int:
    """Return what hours carry of a meter, together."""
    return sum(totals.get(event_name, 0) for totals in carried.values())


def ceiling(moment: datetime) -> datetime:
    """Return the start of the first UTC hour that begins then or later."""
    hour = hour_of(moment)
    return hour if hour == moment else hour + HOUR
