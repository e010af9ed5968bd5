"""What has to hold in every state, in words and as a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from programs.model.bounds import Bounds
from programs.model.rules import Rules
from programs.model.state import LIFETIME, NOT_THERE, Item, State, Stripe
from programs.model.steps import accepted, after_a_tick, concluded, declared, settled_unsent, started

RUNS_TO_RECOVER = 1


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that has to hold: `words` say it, `holds` tests it."""

    words: str
    holds: Callable[[State, Rules], bool]


def is_exact_or_due(state: State, _: Rules) -> bool:
    item = state.item
    return item.due or item.refused or _is_exact(item, state.stripe)


def _is_exact(item: Item, stripe: Stripe) -> bool:
    return all(
        count == counted.by_arrival == counted.by_timestamp or counted.dropped != NOT_THERE
        for count, counted in zip(item.counts, stripe.counted, strict=True)
    )


def is_due_while_sending(state: State, _: Rules) -> bool:
    return state.item.due or not state.item.sending


def has_one_total_a_revision(state: State, _: Rules) -> bool:
    seen = state.stripe.seen
    return len({(meter, revision) for meter, revision, _ in seen}) == len(seen)


def is_refused_for_good(state: State, _: Rules) -> bool:
    item = state.item
    if not item.refused or item.due:
        return True
    return not any(sender.is_declared and sender.events for sender in state.senders)


def knows_what_a_refusal_left(state: State, _: Rules) -> bool:
    item = state.item
    if not item.refused or item.due:
        return True
    return all(
        total == NOT_THERE or total == counted.by_arrival == counted.by_timestamp or counted.dropped != NOT_THERE
        for total, counted in zip(item.reported, state.stripe.counted, strict=False)
    )


class Recovery:
    """Whether runs that nothing disturbs make an hour exact; what is known of an item and of Stripe is kept."""

    def __init__(self) -> None:
        self._known: dict[tuple[Item, Stripe], bool] = {}

    def __call__(self, state: State, rules: Rules) -> bool:
        """Let every sender's lifetime end, make the whole runs, and look."""
        quiet = state._replace(senders=(), comparing=NOT_THERE)
        for _ in range(LIFETIME):
            quiet = after_a_tick(quiet)
        key = quiet.item._replace(version=0), quiet.stripe
        if key not in self._known:
            self._known[key] = self._recovers(quiet, rules)
        return self._known[key]

    def _recovers(self, state: State, rules: Rules) -> bool:
        for _ in range(RUNS_TO_RECOVER):
            if state.item.due:
                state = whole_run(state, rules)
        return not state.item.due and is_exact_or_due(state, rules)


def whole_run(state: State, rules: Rules) -> State:
    """Let a sender read, declare, send and settle with nothing in between."""
    state = started(state, rules, _UNDISTURBED).state
    sender = state.senders[-1]
    if not sender.events:
        return settled_unsent(state, sender, rules).state
    state = declared(state, sender, rules).state
    state = accepted(state, state.senders[-1], sender.events).state
    return concluded(state, state.senders[-1], rules).state


_UNDISTURBED = Bounds("a whole run", values=(), at_once=1)


EXACT_OR_DUE = Invariant("An hour that is not due is exact, by arrival and by timestamp.", is_exact_or_due)


def invariants() -> tuple[Invariant, ...]:
    """Return all of them, for one search."""
    return (
        EXACT_OR_DUE,
        Invariant("An hour with totals on their way is due.", is_due_while_sending),
        Invariant("Under one revision a meter has one total.", has_one_total_a_revision),
        Invariant("A refused hour has no sender that may get it accepted.", is_refused_for_good),
        Invariant("What a refused hour says was reported is what Stripe counts.", knows_what_a_refusal_left),
        Invariant("Once nobody is alive, one whole run makes an hour exact.", Recovery()),
    )
