"""What is known at a moment: at Stripe, in the tables, by the deliveries under way, by a run of metering.

All of it is immutable and compared by value. Time is a number of ticks; a tick is longer than the minute by which
clocks may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.access.rule import Access
from billing.stripe_gateway.objects import StripeSubscription
from billing.webhooks.choice import Fetched, StoredSubscription
from billing.webhooks.decision import Progress
from billing.webhooks.events import Pointer, StripeEvent

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
TICK = timedelta(minutes=2)
NOTHING_KNOWN = Progress()


def moment(tick: int) -> datetime:
    """Return the moment that a tick stands for."""
    return START + tick * TICK


@dataclass(frozen=True, slots=True)
class Event:
    """An event of Stripe's, and what it points at."""

    number: int
    pointer: Pointer
    created: int

    @property
    def as_stripe_event(self) -> StripeEvent:
        """Return the event as the code has it."""
        created = int(moment(self.created).timestamp())
        return StripeEvent(f"evt_{self.number}", "customer.subscription.updated", created, is_thin=False, subject={})


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery under way: `does` is its next step, for `organization_id`, with what it has read and fetched."""

    event: Event
    does: str
    organization_id: str | None = None
    progress: Progress = NOTHING_KNOWN
    record: StoredSubscription | None = None
    fetched: Fetched | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run of metering that has read an organisation's record, and is about to refuse its hour or to send it."""

    version: float | None
    has_customer: bool


@dataclass(frozen=True, slots=True)
class AccessEnding:
    """A run of the schedule that has read a record whose access has ended, and is about to store what it is now."""

    record: StoredSubscription
    access: Access


@dataclass(frozen=True, slots=True)
class State:
    """Everything. `happened` is how much of the scenario has happened; `records` and `customers` are the tables.

    `recorded` are the events with a record and its organisation, `answered` those with a 200. `hours` are acme's:
    due, refused or sent.
    """

    happened: int = 0
    tick: int = 0
    subscriptions: tuple[StripeSubscription, ...] = ()
    events: tuple[Event, ...] = ()
    records: tuple[StoredSubscription, ...] = ()
    customers: frozenset[tuple[str, str]] = frozenset()
    recorded: frozenset[tuple[int, str | None]] = frozenset()
    answered: frozenset[int] = frozenset()
    deliveries: tuple[Delivery, ...] = ()
    hours: tuple[tuple[datetime, str], ...] = ()
    run: Run | None = None
    access_ending: AccessEnding | None = None

    def record(self, organization_id: str) -> StoredSubscription | None:
        """Return an organisation's record."""
        return next((record for record in self.records if record.organization_id == organization_id), None)

    def is_recorded(self, event: Event) -> bool:
        """Say whether an event has its record."""
        return any(number == event.number for number, _ in self.recorded)
