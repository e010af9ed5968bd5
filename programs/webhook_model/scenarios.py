"""What happens at Stripe, in its order; the search lets everything else come in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billing.stripe_gateway.objects import StripeSubscription
from billing.webhooks.choice import Found, StoredSubscription, choose
from billing.webhooks.decision import changes
from billing.webhooks.events import Pointer
from programs.webhook_model.rules import GRACE, UNSEEN, stored
from programs.webhook_model.state import START, TICK, Event, State

FIVE, SIX, NINE = (START.replace(hour=hour) for hour in (5, 6, 9))

Happening = tuple[str, Callable[[State], State]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens at Stripe; `hours` of acme's are due at the start. `at_once` deliveries are under way at a time.

    Where it `is_linked`, acme has the customer cus_0 with a subscription at the start.
    """

    name: str
    happenings: tuple[Happening, ...]
    hours: tuple[datetime, ...] = ()
    at_once: int = 2
    ticks: int = 0
    is_linked: bool = False

    def start(self) -> State:
        """Return the state in which the search begins."""
        state = State(hours=tuple((hour, "due") for hour in self.hours))
        return _linked(state) if self.is_linked else state

    def happen(self, state: State) -> tuple[str, State]:
        """Return what happens next, in words, and the state after it."""
        text, happening = self.happenings[state.happened]
        return text, replace(happening(state), happened=state.happened + 1)


def _linked(state: State) -> State:
    _, happening = subscribed(0, "cus_0", "acme")
    subscriptions = happening(state).subscriptions
    fetched = choose(Found(subscriptions, frozenset({"cus_0"}), START - TICK), None)
    assert fetched is not None
    values = {**changes(None, fetched, None, START, GRACE), **UNSEEN, "rearm_from": None}
    record = stored(replace(StoredSubscription("acme"), **values))
    customers = frozenset({("cus_0", "acme")})
    return replace(state, subscriptions=subscriptions, records=(record,), customers=customers)


def subscribed(
    number: int, customer_id: str, names: str | None, started_at: datetime = START, *, in_metadata: bool = True
) -> Happening:
    """Let a customer subscribe; the event `names` an organisation, or none, as of a dashboard's subscription.

    It is the seller's word where it is `in_metadata` of the subscription, else the buyer's.
    """

    def happening(state: State) -> State:
        subscription = StripeSubscription(
            subscription_id=f"sub_{number}",
            customer_id=customer_id,
            organization_id=names if in_metadata else None,
            status="active",
            created=number,
            started_at=started_at,
            current_period_start=None,
            current_period_end=None,
            cancel_at_period_end=False,
            ended_at=None,
            price_ids=(),
            meters=("temperature_readings",),
        )
        after = replace(state, subscriptions=(*state.subscriptions, subscription))
        return _told(after, subscription, names, is_buyers_word=names is not None and not in_metadata)

    return f"{customer_id} subscribes (sub_{number}{f' for {names}' if names else ''})", happening


def changed(
    number: int,
    status: str,
    ended_at: datetime | None = None,
    *,
    names: str | None = None,
    past_due_since: datetime | None = None,
) -> Happening:
    """Let a subscription change; its event `names` an organisation, or none."""

    def happening(state: State) -> State:
        subscriptions = tuple(
            replace(each, status=status, ended_at=ended_at, past_due_since=past_due_since)
            if each.subscription_id == f"sub_{number}"
            else each
            for each in state.subscriptions
        )
        subscription = next(each for each in subscriptions if each.subscription_id == f"sub_{number}")
        return _told(replace(state, subscriptions=subscriptions), subscription, names)

    return f"sub_{number} becomes {status}", happening


def _told(state: State, subscription: StripeSubscription, names: str | None, *, is_buyers_word: bool = False) -> State:
    pointer = Pointer(subscription.subscription_id, subscription.customer_id, names, is_buyers_word)
    event = Event(len(state.events) + 1, pointer, state.tick)
    return replace(state, events=(*state.events, event))


RETURNS = Scenario(
    "a subscription changes, and returns to its earlier state",
    (subscribed(1, "cus_1", "acme"), changed(1, "past_due"), changed(1, "active")),
)
LATE = Scenario(
    "a subscription changes minutes after its checkout, which comes late",
    (subscribed(1, "cus_1", "acme"), changed(1, "past_due")),
    ticks=2,
)
RELINKED = Scenario(
    "a subscription ends, another one begins; the hours of both were refused",
    (
        subscribed(1, "cus_1", "acme", started_at=FIVE),
        changed(1, "canceled", ended_at=SIX + timedelta(minutes=30)),
        subscribed(2, "cus_2", "acme", started_at=NINE),
    ),
    hours=(FIVE, NINE),
    at_once=1,
)
REFUSED = Scenario(
    "an hour is refused while its customer becomes known",
    (subscribed(1, "cus_1", "acme", started_at=FIVE),),
    hours=(FIVE,),
)
CLAIMED = Scenario(
    "two organisations claim one customer",
    (subscribed(1, "cus_1", "acme"), subscribed(2, "cus_1", "beta")),
)
FORMER = Scenario(
    "somebody subscribes a former customer in Stripe's dashboard",
    (subscribed(1, "cus_1", "acme"), subscribed(2, "cus_2", "acme"), subscribed(3, "cus_1", None)),
    at_once=1,
)
STRANGER = Scenario(
    "a stranger opens a payment link with acme's id, and acme's subscription changes meanwhile",
    (subscribed(1, "cus_1", "acme", in_metadata=False), changed(0, "past_due")),
    is_linked=True,
)
OVERDUE = Scenario(
    "a payment's grace ends, and another one is overdue instead",
    (
        changed(0, "past_due", past_due_since=START - GRACE + TICK),
        changed(0, "past_due", past_due_since=START - GRACE + 2 * TICK),
    ),
    ticks=2,
    is_linked=True,
)
QUICK = (
    replace(OVERDUE, at_once=1),
    STRANGER,
    RELINKED,
    REFUSED,
    CLAIMED,
    FORMER,
    replace(LATE, at_once=1),
    replace(RETURNS, at_once=1),
)
DEEP = (
    OVERDUE,
    replace(STRANGER, at_once=3),
    RETURNS,
    LATE,
    replace(RELINKED, at_once=2),
    replace(FORMER, at_once=2),
    replace(CLAIMED, at_once=3),
)
