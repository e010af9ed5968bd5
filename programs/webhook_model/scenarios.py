"""What happens at Stripe, in its order; the search lets everything else come in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billing.stripe_gateway.objects import StripeSubscription
from billing.webhooks.events import Pointer
from programs.webhook_model.state import START, Event, State

FIVE, SIX, NINE = (START.replace(hour=hour) for hour in (5, 6, 9))

Happening = tuple[str, Callable[[State], State]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens at Stripe; `hours` of acme's are due at the start. `at_once` deliveries are under way at a time."""

    name: str
    happenings: tuple[Happening, ...]
    hours: tuple[datetime, ...] = ()
    at_once: int = 2
    ticks: int = 0

    def start(self) -> State:
        """Return the state in which the search begins."""
        return State(hours=tuple((hour, "due") for hour in self.hours))

    def happen(self, state: State) -> tuple[str, State]:
        """Return what happens next, in words, and the state after it."""
        text, happening = self.happenings[state.happened]
        return text, replace(happening(state), happened=state.happened + 1)


def subscribed(
    number: int, customer_id: str, names: str | None, started_at: datetime = START, *, in_metadata: bool = True
) -> Happening:
    """Let a customer subscribe; the event `names` an organisation, or none, as of a dashboard's subscription.

    The subscription names it too where it is `in_metadata`.
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
        )
        return _told(replace(state, subscriptions=(*state.subscriptions, subscription)), subscription, names)

    return f"{customer_id} subscribes (sub_{number}{f' for {names}' if names else ''})", happening


def changed(number: int, status: str, ended_at: datetime | None = None) -> Happening:
    """Let a subscription change; its event names no organisation."""

    def happening(state: State) -> State:
        subscriptions = tuple(
            replace(each, status=status, ended_at=ended_at) if each.subscription_id == f"sub_{number}" else each
            for each in state.subscriptions
        )
        subscription = next(each for each in subscriptions if each.subscription_id == f"sub_{number}")
        return _told(replace(state, subscriptions=subscriptions), subscription, None)

    return f"sub_{number} becomes {status}", happening


def _told(state: State, subscription: StripeSubscription, names: str | None) -> State:
    pointer = Pointer(subscription.subscription_id, subscription.customer_id, names)
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
QUICK = (RELINKED, REFUSED, CLAIMED, FORMER, replace(LATE, at_once=1), replace(RETURNS, at_once=1))
DEEP = (RETURNS, LATE, replace(RELINKED, at_once=2), replace(FORMER, at_once=2), replace(CLAIMED, at_once=3))
