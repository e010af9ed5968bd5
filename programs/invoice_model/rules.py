"""What workers decide, read and write.

The decisions are the real ones: `billing.periods`, `billing.invoices.owed`, `billing.invoices.boundary` and
`billing.metering.plan`. The conditional writes stand here in a few lines each; `tests/invoice_model` compares them with
the real ones on DynamoDB. A rule is a method, so that `weaker.py` can put another one in its place.
"""

from __future__ import annotations

from functools import cache

from billing.clock import format_time
from billing.invoices.boundary import settled_period_of
from billing.invoices.owed import balance
from billing.metered_subscriptions import PeriodKey
from billing.metering.hour import Late, Link, UsageHour
from billing.metering.plan import plan
from billing.periods import InvoiceOfPeriod, Period, Totals, with_invoice
from programs.invoice_model.state import (
    CUSTOMER,
    NOT_THERE,
    READINGS,
    SPANS,
    STARTS,
    SUBSCRIPTION,
    Change,
    Follows,
    Hour,
    Invoice,
    Item,
    State,
    Told,
    Worker,
    moment,
)

READ_HOUR, READ_PERIODS = "read the hour", "read the periods"
LINK = Link(CUSTOMER, (SUBSCRIPTION,), 1)
HOURS = tuple(map(format_time, STARTS))


class Rules:
    """The rules as the code has them."""

    # --- a period is changed: read, with what its hours count, then written

    def with_invoice(self, item: Item, period: int, fetched: Invoice, hour: Hour) -> Item:
        """Return a period with its invoice as it was fetched; counted, where that settles it."""
        after = _with_invoice(item, period, fetched)
        return self.counted(after, hour) if is_settled(after) else after

    def recounted(self, item: Item, hour: Hour, *, is_late: bool) -> Item:
        """Return a settled period counted anew."""
        if not is_settled(item):
            return item
        return counted_as(item, hour)._replace(has_late_hour=item.has_late_hour or is_late)

    def counted(self, item: Item, hour: Hour) -> Item:
        """Return a period counted as it is settled: what is due by then, or was late, came after its invoice."""
        came_late = (hour.is_due or hour.late != NOT_THERE or hour.came_late) and hour.own > 0
        return counted_as(item, hour)._replace(has_late_hour=item.has_late_hour or came_late)

    def may_change(self, state: State, change: Change) -> bool:
        """Nobody has written the period since it was read."""
        return state.items[change.period].version == change.version

    def changed(self, now: Item, change: Change) -> Item:
        """Return the period as it is written."""
        return change.after._replace(version=max(0, now.version) + 1)

    def settles_up(self, worker: Worker) -> bool:
        """Whoever stores a final invoice writes what follows, but for a look at a draft: its due hours see to that."""
        return worker.kind != "look"

    def recounts_itself(self) -> bool:
        """Count a period once more when everybody can see that it is settled."""
        return True

    # --- what follows from all periods is written at once

    def follows(self, state: State, phase: int) -> Follows:
        """Read all periods, and decide what they carry and tell."""
        carried, told = _balance(_without_versions(state.items), phase)
        return Follows(
            tuple(item.version for item in state.items),
            tuple(map(is_settled, state.items)),
            tuple(None if new == item.carried else new for new, item in zip(carried, state.items, strict=True)),
            tuple(None if new == item.told else new for new, item in zip(told, state.items, strict=True)),
        )

    def may_write(self, state: State, follows: Follows) -> bool:
        """Every period is as it was read: those that owe, those that carry, and those that do neither yet."""
        return follows.versions == tuple(item.version for item in state.items)

    def written(self, state: State, follows: Follows) -> State | None:
        """Write all that follows, the carrying hours too, in one transaction; None where it may not be written."""
        if not self.may_write(state, follows):
            return None
        items, hours = list(state.items), list(state.hours)
        for period in follows.changed:
            item, carried, told = items[period], follows.carried[period], follows.told[period]
            items[period] = item._replace(
                version=max(0, item.version) + 1,
                carried=item.carried if carried is None else carried,
                told=item.told if told is None else told,
            )
            if carried is not None:
                hours[period] = self.carrying(hours[period], carried)
        return state._replace(items=tuple(items), hours=tuple(hours))

    def carrying(self, hour: Hour, carried: int) -> Hour:
        """Return an hour that has something to tell Stripe beside its own count."""
        return hour._replace(is_due=True, version=hour.version + 1, carried=carried)

    def is_behind(self, state: State) -> bool:
        """The daily sweep looks whether something follows that nobody has written."""
        return bool(self.follows(state, state.phase).changed)

    # --- a run of metering

    def agenda(self) -> tuple[str, ...]:
        """Read the periods after the hour, so that nobody settles and counts them in between."""
        return READ_HOUR, READ_PERIODS

    def plan(self, hour: Hour, phase: int, is_settled: bool) -> str:
        """Return what a run does with an hour that it has read."""
        return _plan(hour._replace(version=0, is_due=True), phase, is_settled)

    def is_settled(self, state: State, period: int, hour: Hour) -> bool:
        """Read all periods, after the hour, and say whether it is of a settled one."""
        was_sent = hour.reported != NOT_THERE or hour.is_sending
        return _is_of_settled(_without_versions(state.items), period, was_sent)

    def may_send(self, now: Hour, before: Hour) -> bool:
        """Nobody in metering has written the hour since it was read."""
        return now.version == before.version

    def may_settle(self, now: Hour, before: Hour) -> bool:
        """Nobody in metering has written the hour since, and it counts what it did."""
        return (now.version, now.own) == (before.version, before.own)

    def may_settle_late(self, now: Hour, before: Hour) -> bool:
        """The same, of an hour whose invoice is final."""
        return self.may_settle(now, before)


def is_settled(item: Item) -> bool:
    """Say whether a period's hours are not sent again."""
    return item.state in ("closed", "not_invoiced")


def counted_as(item: Item, hour: Hour) -> Item:
    """Return a period that counts what its hour does."""
    return item._replace(counted=hour.own)


def total(hour: Hour) -> int:
    """Return what Stripe is to count in an hour."""
    return max(0, hour.own) + max(0, hour.carried)


def _without_versions(items: tuple[Item, ...]) -> tuple[Item, ...]:
    return tuple(item._replace(version=min(item.version, 1)) for item in items)


# --- the real decisions, of the same values once


def as_period(item: Item, period: int) -> Period:
    """Return an item as the code has it."""
    return Period(
        SPANS[period],
        state=item.state,  # type: ignore[arg-type]  # it has come from the code
        version=None if item.version == NOT_THERE else item.version,
        invoices={_id_of(period): _as_invoice(item.invoice)} if item.invoice.status else {},
        meters=(READINGS,) if item.state != "open" else (),
        counted=_totals(item.counted),
        carried={HOURS[period]: _totals(item.carried)} if item.carried != NOT_THERE else {},
        told={code: {READINGS: number} for code, number in item.told},
    )


def _totals(number: int) -> Totals:
    return {} if number == NOT_THERE else {READINGS: number}


def _as_invoice(invoice: Invoice) -> InvoiceOfPeriod:
    return InvoiceOfPeriod(invoice.status, {READINGS: invoice.quantity}, closes=True)


def _id_of(period: int) -> str:
    return f"in_{period}"


@cache
def _with_invoice(item: Item, period: int, fetched: Invoice) -> Item:
    after = with_invoice(as_period(item, period), _id_of(period), _as_invoice(fetched), None, (READINGS,))
    stored = after.invoices[_id_of(period)]
    is_stored = fetched.status == stored.status
    invoice = fetched if is_stored else item.invoice
    return item._replace(state=after.state, invoice=invoice)


@cache
def _balance(items: tuple[Item, ...], phase: int) -> tuple[tuple[int, ...], tuple[Told, ...]]:
    periods = [as_period(item, period) for period, item in enumerate(items) if item.version != NOT_THERE]
    result = balance(periods, (SUBSCRIPTION,), moment(phase), carries=True)
    carried, told = [item.carried for item in items], [item.told for item in items]
    for carry in result.carries:
        period = _number(carry.span.key)
        assert set(carry.carried) == {HOURS[period]}, carry
        carried[period] = carry.carried[HOURS[period]][READINGS]
    for key, codes in result.told.items():
        told[_number(key)] = tuple((code, totals[READINGS]) for code, totals in sorted(codes.items()))
    return tuple(carried), tuple(told)


def _number(key: PeriodKey) -> int:
    return STARTS.index(key[1])


@cache
def _plan(hour: Hour, phase: int, is_settled: bool) -> str:
    decision = plan(_as_hour(hour), LINK, moment(phase), is_settled=is_settled)
    if decision is None:
        return "settle unsent"
    return "late" if isinstance(decision, Late) else "send"


def _as_hour(hour: Hour) -> UsageHour:
    return UsageHour(
        organization_id="acme",
        window_start=HOURS[0],
        counts={READINGS: {"N": str(hour.own)}} if hour.own != NOT_THERE else {},
        version=1,
        revision=1,
        reported=_totals(hour.reported),
        reported_under={},
        reported_to=CUSTOMER,
        was_reported=hour.reported != NOT_THERE,
        sending=_totals(hour.at_stripe) if hour.is_sending else None,
        sending_since="",
        doubt_until="",
        others_until="",
        carried=_totals(hour.carried),
    )


@cache
def _is_of_settled(items: tuple[Item, ...], period: int, was_sent: bool) -> bool:
    periods = [as_period(item, number) for number, item in enumerate(items) if item.version != NOT_THERE]
    customer_id = CUSTOMER if was_sent else None
    found = settled_period_of(periods, STARTS[period], customer_id, SUBSCRIPTION.subscription_id)
    return found is not None
