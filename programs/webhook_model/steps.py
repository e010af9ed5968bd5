"""What can happen next in a state.

A delivery that dies is forgotten, and Stripe delivers the event again: it does so as long as nobody has answered 200,
and may do so after that. A call that fails is a death too, for the delivery is answered with a 500.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from billing.metered_subscriptions import covering
from billing.webhooks.decision import (
    End,
    FinishLinking,
    Progress,
    Reading,
    Record,
    decide,
    is_reflected,
    leaves_a_link,
    version_of,
)
from programs.webhook_model.rules import GRACE, Rules, access_by, as_read, has_ended, recorded, with_access
from programs.webhook_model.scenarios import Scenario
from programs.webhook_model.state import AccessEnding, Delivery, Event, Run, State, moment


class Step(NamedTuple):
    """Something that happens, in words, and the state that it leads to; `kind` and `about` are for who does it too."""

    text: str
    state: State
    kind: str
    about: Event | Delivery | None = None


def steps(state: State, rules: Rules, scenario: Scenario) -> Iterator[Step]:
    """Yield everything that can happen next."""
    if state.happened < len(scenario.happenings):
        text, after = scenario.happen(state)
        yield Step(text, after, "happens")
    if state.tick < scenario.ticks:
        yield Step("time passes", replace(state, tick=state.tick + 1), "time passes")
    if len(state.deliveries) < scenario.at_once:
        for event in state.events:
            delivered = _with(state, None, Delivery(event, "finds its organisation"))
            yield Step(f"event {event.number} is delivered", delivered, "is delivered", event)
    for number, delivery in enumerate(state.deliveries):
        name = f"delivery {number + 1} (event {delivery.event.number})"
        yield Step(f"{name} dies", _with(state, delivery, None), "dies", delivery)
        for after in _delivered(state, delivery, rules):
            yield Step(f"{name} {delivery.does}", after, "goes on", delivery)
    yield from _metering(state, rules)
    yield from _access_ends(state, rules)


def _with(state: State, before: Delivery | None, after: Delivery | None) -> State:
    deliveries = list(state.deliveries)
    if before is not None:
        deliveries.remove(before)
    if after is not None:
        deliveries.append(after)
    return replace(state, deliveries=tuple(sorted(deliveries, key=_order)))


def _order(delivery: Delivery) -> tuple[int, str, int]:
    return delivery.event.number, delivery.does, hash(delivery)


def _delivered(state: State, delivery: Delivery, rules: Rules) -> Iterator[State]:
    """Yield the states after the next step of a delivery."""
    if delivery.does == "finds its organisation":
        yield _organization_found(state, delivery, rules)
    elif delivery.does == "reads":
        for reading in rules.readings(state, delivery):
            yield _decided(state, delivery, reading, rules)
    elif delivery.does == "fetches":
        yield _fetched(state, delivery, rules)
    elif delivery.does == "writes":
        yield _written(state, delivery, rules)
    elif delivery.does == "is recorded alone":
        yield _recorded_alone(state, delivery)
    elif delivery.does == "looks again":
        yield _looked_again(state, delivery, rules)
    elif delivery.does == "makes refused hours due":
        yield _rearmed(state, delivery)
    else:
        yield _link_finished(state, delivery)


def _organization_found(state: State, delivery: Delivery, rules: Rules) -> State:
    pointer = delivery.event.pointer
    organization_id = pointer.organization_id
    if organization_id is None and pointer.customer_id is not None:
        organization_id = rules.organization_with_customer(state, pointer.customer_id)
    if organization_id is None:
        earlier = dict(state.recorded).get(delivery.event.number)
        if earlier is None:
            after = state if state.is_recorded(delivery.event) else recorded(state, delivery)
            return _ended(after, delivery)
        organization_id = earlier
    return _with(state, delivery, replace(delivery, does="reads", organization_id=organization_id))


def _decided(state: State, delivery: Delivery, reading: Reading, rules: Rules) -> State:
    event = delivery.event
    progress = delivery.progress.after(reading)
    step = decide(event.as_stripe_event, event.pointer, reading, progress)
    if isinstance(step, End):
        return _ended(state, delivery)
    does = "fetches"
    if isinstance(step, FinishLinking):
        does = "looks again" if rules.looks_again() else "makes refused hours due"
    elif isinstance(step, Record):
        does = "is recorded alone"
    return _with(state, delivery, replace(delivery, does=does, progress=progress, record=reading.record))


def _fetched(state: State, delivery: Delivery, rules: Rules) -> State:
    organization_id, customer_id = str(delivery.organization_id), delivery.event.pointer.customer_id
    is_conflict = customer_id is not None and rules.is_anothers(state, customer_id, organization_id)
    fetched = None if is_conflict else rules.fetch(state, delivery, delivery.event.pointer)
    has_changed = version_of(state.record(organization_id)) != version_of(delivery.record)
    if fetched is None and not is_conflict and delivery.record is not None and has_changed:
        # Its claim fails, so that it does not even ask.
        return _again(state, delivery)
    does = "is recorded alone" if fetched is None else "writes"
    return _with(state, delivery, replace(delivery, does=does, fetched=fetched))


def _written(state: State, delivery: Delivery, rules: Rules) -> State:
    after = rules.written(state, delivery, with_event=True)
    if after is None:
        return _again(state, delivery)
    assert delivery.fetched is not None
    if not leaves_a_link(as_read(delivery.record), delivery.fetched):
        return _ended(after, delivery)
    return _again(after, delivery, replace(delivery.progress, outcome="processed"))


def _recorded_alone(state: State, delivery: Delivery) -> State:
    """Record the event; a duplicate reads once more what its other delivery has left undone."""
    if state.is_recorded(delivery.event):
        return _again(state, delivery)
    return _ended(recorded(state, delivery), delivery)


def _looked_again(state: State, delivery: Delivery, rules: Rules) -> State:
    fetched = rules.fetch(state, delivery, None)
    looked = replace(delivery, fetched=fetched)
    record = as_read(delivery.record)
    assert record is not None
    if fetched is not None and not is_reflected(record, fetched, moment(state.tick), GRACE):
        return _again(rules.written(state, looked, with_event=False) or state, delivery)
    return _with(state, delivery, replace(looked, does="makes refused hours due"))


def _rearmed(state: State, delivery: Delivery) -> State:
    record, fetched = delivery.record, delivery.fetched
    assert record is not None
    assert record.rearm_from is not None
    since = record.rearm_from

    def is_subscribed(start: datetime) -> bool:
        # Without a second look (one of the weaker rules) nothing was fetched.
        return fetched is None or covering(fetched.metered_subscriptions, start) is not None

    hours = tuple(
        (start, "due" if what == "refused" and start >= since and is_subscribed(start) else what)
        for start, what in state.hours
    )
    return _with(replace(state, hours=hours), delivery, replace(delivery, does="ends the link"))


def _link_finished(state: State, delivery: Delivery) -> State:
    before = delivery.record
    assert before is not None
    records = tuple(
        replace(record, rearm_from=None)
        if (record.organization_id, record.version, record.rearm_from)
        == (before.organization_id, before.version, before.rearm_from)
        else record
        for record in state.records
    )
    return _again(replace(state, records=records), delivery)


def _again(state: State, delivery: Delivery, progress: Progress | None = None) -> State:
    """Return the state in which the delivery reads next; it keeps what it has learned, and nothing that it has read."""
    kept = progress or delivery.progress
    return _with(state, delivery, Delivery(delivery.event, "reads", delivery.organization_id, kept))


def _ended(state: State, delivery: Delivery) -> State:
    return _with(replace(state, answered=state.answered | {delivery.event.number}), delivery, None)


def _metering(state: State, rules: Rules) -> Iterator[Step]:
    """Yield what a run does with acme's due hours: it reads the record, then refuses them or sends them."""
    if not state.hours:
        return
    record = state.record("acme")
    if state.run is None:
        if any(what == "due" for _, what in state.hours):
            has_customer = record is not None and record.stripe_customer_id is not None
            run = Run(None if record is None else record.version, has_customer)
            yield Step("a run reads", replace(state, run=run), "meters")
        return
    yield Step("the run dies", replace(state, run=None), "meters")
    becomes = "sent" if state.run.has_customer else "refused" if rules.may_refuse(state, state.run) else "due"
    hours = tuple((start, becomes if what == "due" else what) for start, what in state.hours)
    yield Step(f"the run ends, the hours are {becomes}", replace(state, run=None, hours=hours), "meters")


def _access_ends(state: State, rules: Rules) -> Iterator[Step]:
    """Yield what the schedule does with an access that has ended: it reads the record, and stores what it is now."""
    now, ending = moment(state.tick), state.access_ending
    if ending is not None:
        yield Step("the schedule dies", replace(state, access_ending=None), "ends access")
        after = replace(rules.access_stored(state, ending), access_ending=None)
        yield Step(f"the schedule stores that access is {ending.access.state}", after, "ends access")
        return
    for record in state.records:
        access = access_by(record, now)
        if has_ended(record, now) and with_access(record, access) != record:
            reads = replace(state, access_ending=AccessEnding(record, access))
            yield Step("the schedule reads the record", reads, "ends access")
