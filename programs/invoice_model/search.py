"""The search through all states of a scenario, breadth first, and what has to hold in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from programs.invoice_model.rules import Rules
from programs.invoice_model.scenarios import Scenario
from programs.invoice_model.state import NOT_THERE, State, Worker
from programs.invoice_model.steps import Step, steps, swept
from programs.model.breadth_first import Found, breadth_first

FINAL = "open"
LOST = ("not_carried", "not_invoiced")


def search(rules: Rules, scenario: Scenario) -> Found:
    """Look at every state there is, or at those up to the first in which something does not hold."""
    start = scenario.start()

    def following(state: State) -> Iterator[tuple[State, Step]]:
        return ((reduced(step.state, rules), step) for step in steps(state, rules, scenario))

    def tell(way: Sequence[State]) -> tuple[str, ...]:
        lines, state = [], start
        for wanted in way[1:]:
            step = next(step for step in steps(state, rules, scenario) if reduced(step.state, rules) == wanted)
            lines.append(step.text)
            state = step.state
        return (*lines, _outcome(state))

    return breadth_first(
        reduced(start, rules), following, lambda step: next(broken_in(step.state, rules, scenario), None), tell
    )


def reduced(state: State, rules: Rules) -> State:
    """Return the one state that stands for all that are the same for what comes after.

    A version matters only as the item's own or an overtaken one, so whoever has read an overtaken one reads again.
    """
    workers = (_reduced(worker, state, rules) for worker in state.workers)
    return state._replace(
        items=tuple(item._replace(version=min(item.version, 1)) for item in state.items),
        hours=tuple(hour._replace(version=1) for hour in state.hours),
        workers=tuple(sorted(workers, key=lambda worker: (worker.kind, worker.period, worker.agenda, hash(worker)))),
    )


def _reduced(worker: Worker, state: State, rules: Rules) -> Worker:
    if worker.change is not None:
        change = worker.change
        version = _seen(change.version, state.items[change.period].version)
        after = change.after._replace(version=0)
        worker = worker._replace(change=change._replace(version=version, after=after))
        if not rules.may_change(state, change):
            worker = worker._replace(change=None)
    if worker.follows is not None:
        seen = zip(worker.follows.versions, state.items, strict=True)
        versions = tuple(_seen(version, item.version) for version, item in seen)
        is_lost = not rules.may_write(state, worker.follows)
        worker = worker._replace(follows=None if is_lost else worker.follows._replace(versions=versions))
    if worker.hour is not None:
        version = _seen(worker.hour.version, state.hours[worker.period].version)
        worker = worker._replace(hour=worker.hour._replace(version=version))
    return worker


def _seen(version: int, now: int) -> int:
    """Return a version that was read: as it is in the reduced state, or overtaken (0)."""
    return min(now, 1) if version == now else 0


def broken_in(state: State, rules: Rules, scenario: Scenario) -> Iterator[str]:
    """Yield, in words, what does not hold in a state."""
    if any(item.carried != hour.carried for item, hour in zip(state.items, state.hours, strict=True)):
        yield "what a period carries is what its hour tells Stripe"
    if billed(state) > counted(state) + state.taken_back:
        yield "no more is billed than was counted, but for what was corrected downwards"
    if is_at_rest(state, rules, scenario):
        told = [pair for item in state.items for pair in item.told]
        lost = sum(number for code, number in told if code in LOST)
        if counted(state) - billed(state) != lost - sum(number for code, number in told if code == "too_much"):
            yield "at rest all that was counted is billed or told, to the unit"


def is_at_rest(state: State, rules: Rules, scenario: Scenario) -> bool:
    """Say whether nobody is at work, and nothing is left to do: no due hour, no event, no sweep."""
    if state.workers or any(hour.is_due for hour in state.hours):
        return False
    if scenario.sweeps:
        return not any(swept(state, rules))
    pairs = zip(state.invoices, state.answered, strict=True)
    return all(invoice.status in ("", "draft", answered) for invoice, answered in pairs)


def counted(state: State) -> int:
    """Return what was counted in all hours."""
    return sum(max(0, hour.own) for hour in state.hours)


def billed(state: State) -> int:
    """Return what final invoices bill, and what the others would if they were final now."""
    pairs = zip(state.invoices, state.hours, strict=True)
    return sum(
        invoice.quantity if invoice.status == FINAL else 0 if invoice.status == "void" else hour.at_stripe
        for invoice, hour in pairs
    )


def _outcome(state: State) -> str:
    carried = [item.carried for item in state.items if item.carried != NOT_THERE]
    return f"counted {counted(state)}, billed {billed(state)}, carried {carried}, told {[i.told for i in state.items]}"
