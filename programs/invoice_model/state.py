"""What is known at a moment: at Stripe, in the two tables, by the workers that are under way.

Everything is a tuple, and compared by value. There is one `sum` meter, one subscription with three periods, and one
hour in each: its first, which also carries what earlier periods owe. Periods and hours are numbered from 0.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from billing.metered_subscriptions import BillingPeriod, MeteredSubscription
from billing.meters import SUM_METERS

NOT_THERE = -1
"""A number that an item does not have; of a version: there is no item."""

(READINGS,) = SUM_METERS
CUSTOMER = "cus_1"
PERIODS = 3
LENGTH = timedelta(days=7)
BEGIN = datetime(2026, 11, 23, 10, tzinfo=UTC)
STARTS = tuple(BEGIN + number * LENGTH for number in range(PERIODS + 1))
INTO_A_PERIOD = timedelta(hours=5)
SUBSCRIPTION = MeteredSubscription("sub_1", CUSTOMER, BEGIN, None, (READINGS,), STARTS)
SPANS: tuple[BillingPeriod, ...] = tuple(SUBSCRIPTION.periods())[:PERIODS]


def moment(phase: int) -> datetime:
    """Return what time it is for whoever begins to work while this period is the open one."""
    return STARTS[phase] + INTO_A_PERIOD


class Hour(NamedTuple):
    """An hour's item, and what Stripe counts of it.

    `own` is what was counted in it. It `came_late` where it was sent after its period's invoice was final; `late` is
    the total that was taken as late.
    """

    own: int = NOT_THERE
    is_due: bool = False
    version: int = 0
    carried: int = NOT_THERE
    reported: int = NOT_THERE
    is_sending: bool = False
    came_late: bool = False
    late: int = NOT_THERE
    at_stripe: int = 0


class Invoice(NamedTuple):
    """A period's invoice at Stripe: no `status` before there is one. A draft that `is_held` waits longer."""

    status: str = ""
    quantity: int = 0
    is_held: bool = False


Told = tuple[tuple[str, int], ...]


class Item(NamedTuple):
    """A period's item: `invoice` is Stripe's as it was stored. `told` are numbers by their codes."""

    version: int
    state: str = "open"
    invoice: Invoice = Invoice()
    counted: int = NOT_THERE
    has_late_hour: bool = False
    carried: int = NOT_THERE
    told: Told = ()


NO_ITEM = Item(NOT_THERE)


class Change(NamedTuple):
    """A period as a worker is about to write it, and the version that it read."""

    period: int
    version: int
    after: Item


class Follows(NamedTuple):
    """What follows from the periods as a worker read them, to be written at once: what each is to carry and to tell.

    None where it does so already. `settled` are those that were settled by then.
    """

    versions: tuple[int, ...]
    settled: tuple[bool, ...]
    carried: tuple[int | None, ...]
    told: tuple[Told | None, ...]

    @property
    def changed(self) -> set[int]:
        """Return the periods that are to be written."""
        pairs = zip(self.carried, self.told, strict=True)
        return {period for period, pair in enumerate(pairs) if pair != (None, None)}


class Worker(NamedTuple):
    """A delivery of an invoice's event, a run that has found an hour due, its look at a draft, or the daily sweep.

    `agenda` is what it does next, and after that. `phase` is when it began; `since` what the invoice was then. The rest
    is what it has read.
    """

    kind: str
    period: int
    agenda: tuple[str, ...]
    phase: int
    since: str = ""
    hour: Hour | None = None
    is_settled: bool | None = None
    fetched: Invoice | None = None
    change: Change | None = None
    follows: Follows | None = None


class State(NamedTuple):
    """Everything. `phase` is the period that is open at Stripe, `answered` of each invoice the newest status whose
    event was answered, `taken_back` by how much counts have been corrected downwards.
    """

    phase: int
    hours: tuple[Hour, ...]
    invoices: tuple[Invoice, ...]
    items: tuple[Item, ...]
    answered: tuple[str, ...]
    corrections_left: int
    taken_back: int = 0
    workers: tuple[Worker, ...] = ()
