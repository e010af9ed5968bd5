"""The search through all states of a scenario, breadth first, and what has to hold in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from billing.clock import HOUR
from billing.stripe_gateway.objects import StripeSubscription
from programs.model.breadth_first import Found, breadth_first
from programs.webhook_model.rules import Rules, access_by, has_ended, with_access
from programs.webhook_model.scenarios import Scenario
from programs.webhook_model.state import State, moment
from programs.webhook_model.steps import Step, steps


def search(rules: Rules, scenario: Scenario) -> Found:
    """Look at every state there is, or at those up to the first in which something does not hold."""

    def following(state: State) -> Iterator[tuple[State, Step]]:
        return ((step.state, step) for step in steps(state, rules, scenario))

    def tell(way: Sequence[State]) -> tuple[str, ...]:
        return tuple(
            next(step.text for after, step in following(before) if after == wanted) for before, wanted in pairwise(way)
        )

    return breadth_first(scenario.start(), following, lambda step: next(broken_in(step.state, scenario), None), tell)


def broken_in(state: State, scenario: Scenario) -> Iterator[str]:
    """Yield, in words, what does not hold in a state."""
    owned = [customer_id for record in state.records for customer_id in record.customer_ids or ()]
    if len(owned) != len(set(owned)):
        yield "a customer has one organisation"
    if scenario.is_linked and any(customer_id != "cus_0" for customer_id, _ in state.customers):
        yield "nobody is moved on a buyer's word"
    now = moment(state.tick)
    for record in state.records:
        if not has_ended(record, now) and with_access(record, access_by(record, now)) != record:
            yield "who may use the service is stored, or the schedule finds the record"
    is_quiet = not state.deliveries and state.run is None and state.happened == len(scenario.happenings)
    if is_quiet and len(state.answered) == len(state.events):
        yield from _broken_at_rest(state)


def _broken_at_rest(state: State) -> Iterator[str]:
    """Yield what does not hold once all events were answered with 200 and nobody is at work."""
    if {number for number, _ in state.recorded} != state.answered:
        yield "every event has a record"
    for record in state.records:
        if record.rearm_from is not None:
            yield "a link is finished"
        owned = [
            each
            for each in state.subscriptions
            if each.customer_id in (record.customer_ids or ())
            if each.organization_id in (None, record.organization_id)
        ]
        newest = max(owned, key=lambda each: (each.is_living, each.created))
        stored = record.stripe_subscription_id, record.status, record.ended_at
        if stored != (newest.subscription_id, newest.status, newest.ended_at):
            yield "a record ends as Stripe has it"
    for start, what in state.hours:
        if what == "refused" and is_covered(start, state.subscriptions):
            yield "no hour of a subscription stays refused"


def is_covered(hour: datetime, subscriptions: tuple[StripeSubscription, ...]) -> bool:
    """Say whether a subscription covers an hour, or a part of it."""
    return any(
        each.started_at < hour + HOUR and (each.ended_at is None or each.ended_at > hour) for each in subscriptions
    )
