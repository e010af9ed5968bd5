"""Where a search begins, and how much of everything it allows. Deliveries, runs and their deaths have no bound."""

from __future__ import annotations

from dataclasses import dataclass, replace

from programs.invoice_model.state import NO_ITEM, NOT_THERE, PERIODS, Hour, Invoice, Item, State

WEBHOOKS = ("open", "void")
DRAFTS_TOO = ("draft", *WEBHOOKS)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`counts` has the values of each hour's count, the first one at the start.

    The invoices of the first `closed` periods are final, compared and settled up at the start, and the next period is
    open; in the end the period `last` is. The first one is `owing` so much, which the open one carries. `at_once`
    workers are under way at a time, counts change `corrections` times. Events of invoices that have come to these
    statuses are `delivered`; runs may also look at drafts, invoices may be voided, or the daily sweep alone sees to
    them. Counts change back while somebody is at work only where `changes_back`.
    """

    name: str
    counts: tuple[tuple[int, ...], ...]
    closed: int = 0
    last: int = 1
    at_once: int = 2
    corrections: int = 2
    owing: int = 0
    delivered: tuple[str, ...] = WEBHOOKS
    looks: bool = False
    voids: bool = False
    sweeps: bool = False
    changes_back: bool = False

    def start(self) -> State:
        """Return the state in which the search begins."""
        hours, invoices, items = [], [], []
        for period in range(PERIODS):
            values = self.counts[period] if period < len(self.counts) else ()
            count = values[0] if values and period <= self.closed else NOT_THERE
            carried = self.owing if period == self.closed and self.owing else NOT_THERE
            total = max(0, count) + max(0, carried)
            sent = total - (self.owing if period == 0 else 0)
            is_there = count != NOT_THERE or carried != NOT_THERE
            late = count if self.owing and period == 0 else NOT_THERE
            hours.append(Hour(count, False, 1, carried, sent, late=late, at_stripe=sent) if is_there else Hour())
            if period < self.closed:
                invoice = Invoice("open", sent)
                invoices.append(invoice)
                items.append(Item(1, "closed", invoice, count))
            else:
                invoices.append(Invoice())
                items.append(NO_ITEM if carried == NOT_THERE else Item(1, carried=carried))
        answered = tuple(invoice.status for invoice in invoices)
        return State(self.closed, tuple(hours), tuple(invoices), tuple(items), answered, self.corrections)


CLOSES = Scenario("a period ends", counts=((5, 6, 4), (2,)))
LATE = Scenario("the hour of a settled period is corrected", counts=((5, 6, 4, 7), (2,)), closed=1, last=1)
VOIDED = Scenario("an invoice is voided", counts=((5, 6), (2,)), corrections=1, delivered=DRAFTS_TOO, voids=True)
LOOKS = Scenario("runs look at the draft", counts=((5, 6), (2,)), corrections=1, delivered=DRAFTS_TOO, looks=True)
RENEWS = Scenario(
    "a late hour is corrected while the next period ends", counts=((5, 6), (2,)), closed=1, last=2, corrections=1
)
OWES = Scenario("a period ends that carries", counts=((6, 5), (2, 4)), closed=1, last=2, owing=1)
SWEPT = Scenario(
    "webhooks are lost, the daily sweep alone", counts=((5, 6, 4), (2,)), at_once=1, delivered=(), sweeps=True
)
QUICK = (
    replace(CLOSES, at_once=1, delivered=DRAFTS_TOO),
    replace(CLOSES, corrections=1),
    LATE,
    RENEWS,
    replace(OWES, at_once=1),
    SWEPT,
)
DEEP = (
    CLOSES,
    VOIDED,
    LOOKS,
    replace(VOIDED, counts=((5,), (2,)), corrections=0, at_once=3),
    replace(LATE, corrections=1, at_once=3),
    OWES,
)
LEFT = (
    replace(OWES, name="a count changes and changes back while two are at work", last=1, changes_back=True),
    replace(SWEPT, name="a sweep dies while a run sends what it has not counted", at_once=2),
)
"""What can still go wrong: docs/model.md says for how long."""
