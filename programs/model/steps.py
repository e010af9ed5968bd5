"""What can happen next in a state.

A sender that dies takes no further step: nobody can tell it from one that is slow, so death is no step of its own; at
the end of its lifetime it is gone. A send that fails and is tried again later is a send that comes later.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from programs.model.bounds import Bounds
from programs.model.rules import Rules
from programs.model.state import LIFETIME, NOT_THERE, Counted, Item, Sender, State, Stripe, Totals


class Step(NamedTuple):
    """Something that happens, and the state that it leads to; `text` has a place for each of `about`."""

    state: State
    text: str
    about: tuple[object, ...] = ()

    def __str__(self) -> str:
        return self.text.format(*self.about)


def steps(state: State, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """Yield everything that can happen next."""
    yield from _corrections(state, bounds)
    if bounds.time_passes:
        yield Step(after_a_tick(state, bounds.lifetime), "8 minutes pass")
    if _may_start(state, bounds):
        yield started(state, rules, bounds)
    for sender in state.senders:
        if not sender.is_declared:
            yield declared(state, sender, rules) if sender.events else settled_unsent(state, sender, rules)
        elif sender.events:
            yield from _sends(state, sender, bounds)
        elif not sender.is_request:
            yield concluded(state, sender, rules)
    yield from _comparison(state, rules)


def _may_start(state: State, bounds: Bounds) -> bool:
    reading = sum(not sender.is_declared for sender in state.senders)
    return state.item.due and len(state.senders) < bounds.at_once and reading < bounds.reading_at_once


# --- the writer, the clock


def _corrections(state: State, bounds: Bounds) -> Iterator[Step]:
    for meter, values in enumerate(bounds.values):
        for value in values:
            if value != state.item.counts[meter]:
                yield corrected(state, meter, value)


def corrected(state: State, meter: int, value: int) -> Step:
    """Return the hour with another count, and due."""
    counts = list(state.item.counts)
    counts[meter] = value
    item = state.item._replace(counts=tuple(counts), due=True)
    return Step(state._replace(item=item), "the counts become {}", (_in_words(item.counts),))


def _in_words(totals: Totals) -> str:
    return " and ".join(map(str, totals))


def after_a_tick(state: State, lifetime: int = LIFETIME) -> State:
    """Return the state a tick later: senders at the end of their lifetime are gone."""
    item = state.item._replace(
        since=state.item.since if state.item.since == NOT_THERE else min(state.item.since + 1, LIFETIME),
        doubt=_nearer(state.item.doubt),
        others=_nearer(state.item.others),
    )
    senders = tuple(
        sender._replace(age=sender.age + 1, doubt=_nearer(sender.doubt), others=_nearer(sender.others))
        for sender in state.senders
        if sender.age + 1 < lifetime
    )
    return state._replace(item=item, senders=senders, clock=state.clock + 1)


def _nearer(until: int) -> int:
    return until - 1 if until > 0 else until


# --- a sender


def started(state: State, rules: Rules, bounds: Bounds) -> Step:
    """Let a sender read the hour, and plan."""
    item, name = state.item, state.started + 1
    plan = rules.plan(item)
    sender = Sender(
        name=name,
        is_declared=False,
        age=0,
        version=item.version,
        read_revision=item.revision,
        counts=item.counts,
        revision=plan.revision if plan else item.revision,
        doubt=plan.doubt if plan else NOT_THERE,
        others=plan.others if plan else NOT_THERE,
        events=plan.events if plan else (),
        known=item.reported if bounds.refusals and not item.sending else (),
    )
    return Step(state._replace(senders=(*state.senders, sender), started=name), "sender {} reads the hour", (name,))


def declared(state: State, sender: Sender, rules: Rules) -> Step:
    """Let a sender declare, which fails where somebody else wrote the item."""
    if not rules.may_declare(state.item, sender):
        return Step(_without(state, sender), "sender {} may not declare, and ends", (sender.name,))
    item, after = rules.declared(state.item, sender), sender._replace(is_declared=True, version=state.item.version)
    return Step(
        _with(state._replace(item=item), sender, after),
        "sender {} declares {} under revision {}{}",
        (sender.name, _in_words(sender.counts), sender.revision, "" if sender.doubt == NOT_THERE else ", in doubt"),
    )


def settled_unsent(state: State, sender: Sender, rules: Rules) -> Step:
    """Let a sender settle an hour whose totals Stripe has."""
    after = _without(state, sender)._replace(item=rules.settled_unsent(state.item, sender))
    return Step(after, "sender {} sends nothing, and {}", (sender.name, _conclusion(state.item, after.item)))


def concluded(state: State, sender: Sender, rules: Rules) -> Step:
    """Let a sender settle, refuse or release the hour, where the conditions hold; it ends."""
    after = _without(state, sender)._replace(item=rules.concluded(state.item, sender))
    return Step(after, "sender {} {}", (sender.name, _conclusion(state.item, after.item)))


def _conclusion(before: Item, after: Item) -> str:
    if before == after:
        return "ends without writing"
    if after.due:
        return "releases the hour, still due"
    return "refuses the hour" if after.refused else "settles the hour"


def _with(state: State, before: Sender, *after: Sender) -> State:
    place = state.senders.index(before)
    return state._replace(senders=(*state.senders[:place], *after, *state.senders[place + 1 :]))


def _without(state: State, sender: Sender) -> State:
    return _with(state, sender)


# --- its events


def _sends(state: State, sender: Sender, bounds: Bounds) -> Iterator[Step]:
    calls = [sender.events] if bounds.stream else [(meter,) for meter in sender.events]
    for meters in calls:
        yield accepted(state, sender, meters)
        if sender.is_request:
            continue
        if bounds.lost_responses:
            yield accepted_without_response(state, sender, meters, marks=bounds.refusals)
        if bounds.refusals:
            yield refused(state, sender, meters)
            if len(state.senders) < bounds.at_once and not set(meters) & set(sender.lost):
                yield delayed(state, sender, meters)
        if state.left.drops:
            yield accepted(state, sender, meters, drops=True)


def accepted(state: State, sender: Sender, meters: tuple[int, ...], *, drops: bool = False) -> Step:
    """Let Stripe accept events, and say so; with `drops` it counts none of them, later."""
    text = "{} sends {}, which Stripe takes and drops later" if drops else "{} sends {}"
    after = _arrived(state, sender, meters, drops=drops)
    if drops:
        after = after._replace(left=after.left._replace(drops=after.left.drops - 1))
    events = tuple(meter for meter in sender.events if meter not in meters)
    return Step(_with(after, sender, sender._replace(events=events)), text, _about(sender, meters))


def accepted_without_response(state: State, sender: Sender, meters: tuple[int, ...], *, marks: bool) -> Step:
    """Let Stripe accept events without the sender's knowing; it may send them again."""
    lost = tuple(sorted({*sender.lost, *meters})) if marks else ()
    after = _with(_arrived(state, sender, meters), sender, sender._replace(lost=lost))
    return Step(after, "{} sends {}, and gets no response", _about(sender, meters))


def delayed(state: State, sender: Sender, meters: tuple[int, ...]) -> Step:
    """Let an attempt end without a response, and its request be on its way still."""
    request = sender._replace(events=meters, is_request=True)
    after = _with(state, sender, sender._replace(lost=tuple(sorted({*sender.lost, *meters}))), request)
    return Step(after, "{} sends {}, which is still on its way", _about(sender, meters))


def refused(state: State, sender: Sender, meters: tuple[int, ...]) -> Step:
    """Let Stripe refuse events."""
    events = tuple(meter for meter in sender.events if meter not in meters)
    after = _with(state, sender, sender._replace(events=events, refused=tuple(sorted({*sender.refused, *meters}))))
    return Step(after, "{} sends {}, which Stripe refuses", _about(sender, meters))


def _about(sender: Sender, meters: tuple[int, ...]) -> tuple[object, ...]:
    who = f"a request of sender {sender.name}" if sender.is_request else f"sender {sender.name}"
    return who, " and ".join(f"r{sender.revision}:{sender.counts[meter]}" for meter in meters)


def _arrived(state: State, sender: Sender, meters: tuple[int, ...], *, drops: bool = False) -> State:
    seen, counted = state.stripe.seen, list(state.stripe.counted)
    for meter in meters:
        identifier = (meter, sender.revision, sender.counts[meter])
        if identifier not in seen:
            seen |= {identifier}
            counted[meter] = _counting(counted[meter], sender.revision, sender.counts[meter], drops=drops)
    return state._replace(stripe=Stripe(seen, tuple(counted)))


def _counting(counted: Counted, revision: int, value: int, *, drops: bool) -> Counted:
    """Return what Stripe counts after an event whose timestamp is the hour's start plus its revision."""
    is_latest = revision >= max(counted.revision, counted.dropped)
    if drops:
        return counted._replace(dropped=revision) if is_latest else counted
    if revision >= counted.revision:
        counted = counted._replace(by_timestamp=value, revision=revision)
    return counted._replace(by_arrival=value, dropped=NOT_THERE if is_latest else counted.dropped)


# --- a comparison, or an error report


def _comparison(state: State, rules: Rules) -> Iterator[Step]:
    if state.comparing != NOT_THERE:
        yield compared(state, rules)
    elif state.left.comparisons:
        left = state.left._replace(comparisons=state.left.comparisons - 1)
        yield Step(state._replace(comparing=state.item.version, left=left), "a comparison reads the hour")


def compared(state: State, rules: Rules) -> Step:
    """Let a comparison make the hour due, whether it saw a difference or believed to; only if it is as read."""
    item, counted = rules.made_unreported_due(state.item, state.comparing), state.stripe.counted
    if item != state.item:
        counted = tuple(each._replace(dropped=NOT_THERE) for each in counted)
    after = state._replace(item=item, stripe=state.stripe._replace(counted=counted), comparing=NOT_THERE)
    return Step(after, "it makes the hour due" if item != state.item else "it finds the hour written, and ends")
