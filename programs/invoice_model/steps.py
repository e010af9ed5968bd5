"""What can happen next in a state.

A worker that dies is forgotten: Stripe delivers its event again, and an hour or a draft that it was at work on is found
again by a next run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from programs.invoice_model.rules import READ_HOUR, READ_PERIODS, Rules, is_settled, total
from programs.invoice_model.scenarios import Scenario
from programs.invoice_model.state import Change, Hour, Invoice, Item, State, Worker

STATUSES = ("", "draft", "open", "void")
FETCH, STORE, BALANCE = "fetch the invoice", "store the invoice", "write what follows"
SEND, SETTLE = "send the hour", "settle the hour"
SETTLE_LATE, SETTLE_UNSENT, RECOUNT, RECOUNT_LATE = "settle it as late", "settle it unsent", "recount", "recount late"
LOOK = "look at the draft"

Value = TypeVar("Value")


class Step(NamedTuple):
    """Something that happens, in words, and the state that it leads to; `kind` and `about` are for who does it too."""

    text: str
    state: State
    kind: str
    about: int = 0


def steps(state: State, rules: Rules, scenario: Scenario) -> Iterator[Step]:
    """Yield everything that can happen next."""
    yield from _counted(state, scenario)
    yield from _at_stripe(state, scenario)
    if len(state.workers) < scenario.at_once:
        yield from _begun(state, rules, scenario)
    for number, worker in enumerate(state.workers):
        name = f"{worker.kind} {number + 1} (period {worker.period + 1})"
        yield Step(f"{name} dies", with_worker(state, number, None), "dies", number)
        yield Step(f"{name}: {words(worker)}", gone_on(state, number, rules), "goes on", number)


def words(worker: Worker) -> str:
    """Say what a worker does next."""
    task = worker.agenda[0]
    return f"{task}: writes" if worker.change or worker.follows else task


def _counted(state: State, scenario: Scenario) -> Iterator[Step]:
    for period, values in enumerate(scenario.counts):
        hour = state.hours[period]
        if not state.corrections_left or period > state.phase:
            continue
        is_quiet = not state.workers or scenario.changes_back
        for value in values if is_quiet else values[values.index(hour.own) + 1 :]:
            if value != hour.own:
                after = state._replace(
                    hours=put(state.hours, period, hour._replace(own=value, is_due=True)),
                    corrections_left=state.corrections_left - 1,
                    taken_back=state.taken_back + max(0, hour.own - value),
                )
                yield Step(f"period {period + 1}'s hour counts {value}", after, "counts", period)


def _at_stripe(state: State, scenario: Scenario) -> Iterator[Step]:
    # A draft is final 72 hours after its period's end, and a period lasts for a week.
    if state.phase < scenario.last and all(invoice.status != "draft" for invoice in state.invoices):
        yield Step(f"period {state.phase + 1} ends", _period_ended(state, scenario), "ends", state.phase)
    for period, invoice in enumerate(state.invoices):
        # Nobody works for as long as a draft waits.
        is_over = all(worker.phase > period for worker in state.workers)
        if invoice.status == "draft" and is_over:
            final = Invoice("open", state.hours[period].at_stripe)
            after = state._replace(invoices=put(state.invoices, period, final))
            yield Step(f"period {period + 1}'s invoice is final: {final.quantity}", after, "is final", period)
        elif invoice.status == "open" and scenario.voids:
            after = state._replace(invoices=put(state.invoices, period, invoice._replace(status="void")))
            yield Step(f"period {period + 1}'s invoice is voided", after, "is voided", period)


def _period_ended(state: State, scenario: Scenario) -> State:
    """End the open period; the next one counts something at once, and Stripe has it."""
    following = state.phase + 1
    hours = state.hours
    if following < len(scenario.counts):
        count = scenario.counts[following][0]
        hours = put(hours, following, Hour(count, version=1, reported=count, at_stripe=count))
    invoices = put(state.invoices, state.phase, Invoice("draft"))
    return state._replace(phase=following, hours=hours, invoices=invoices)


def _begun(state: State, rules: Rules, scenario: Scenario) -> Iterator[Step]:
    """Yield who begins, with the first thing that it does."""
    for text, kind, worker in _beginners(state, rules, scenario):
        begun = state._replace(workers=(*state.workers, worker))
        yield Step(text, gone_on(begun, len(state.workers), rules), kind, worker.period)


def _beginners(state: State, rules: Rules, scenario: Scenario) -> Iterator[tuple[str, str, Worker]]:
    for period, (invoice, item) in enumerate(zip(state.invoices, state.items, strict=True)):
        if invoice.status in scenario.delivered:
            text = f"the event of period {period + 1}'s {invoice.status} invoice is delivered, which is fetched"
            yield text, "is delivered", Worker("delivery", period, (FETCH, STORE), state.phase, invoice.status)
        is_soon = period == state.phase - 1 and not item.invoice.is_held
        if item.state == "draft" and is_soon and scenario.looks:
            text = f"a run looks at period {period + 1}'s draft"
            yield text, "looks", Worker("look", period, (LOOK, FETCH, STORE), state.phase)
    for period, hour in enumerate(state.hours):
        if hour.is_due:
            yield f"a run reads period {period + 1}'s hour", "runs", Worker("run", period, rules.agenda(), state.phase)
    for period, agenda in swept(state, rules) if scenario.sweeps else ():
        yield f"the sweep looks at period {period + 1}", "sweeps", Worker("sweep", period, agenda, state.phase)


def swept(state: State, rules: Rules) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield what the daily sweep has to do, by period."""
    for period, (invoice, item) in enumerate(zip(state.invoices, state.items, strict=True)):
        if invoice.status == "open" and not is_settled(item):
            yield period, (FETCH, STORE)
    if rules.is_behind(state):
        yield state.phase, (BALANCE,)


def put(values: tuple[Value, ...], number: int, value: Value) -> tuple[Value, ...]:
    """Return the values with one of them changed."""
    return (*values[:number], value, *values[number + 1 :])


def with_worker(state: State, number: int, worker: Worker | None) -> State:
    """Return the state with a worker changed, or (None) without it."""
    before, after = state.workers[:number], state.workers[number + 1 :]
    return state._replace(workers=(*before, *after) if worker is None else (*before, worker, *after))


def gone_on(state: State, number: int, rules: Rules) -> State:
    """Return the state after a worker's next step."""
    worker = state.workers[number]
    task, period = worker.agenda[0], worker.period
    if worker.change is not None:
        return _changed(state, number, worker.change, rules)
    if task == FETCH:
        invoice = state.invoices[period]
        if invoice.status == "draft":
            is_held = invoice.is_held or worker.kind == "look"
            state = state._replace(invoices=put(state.invoices, period, invoice._replace(is_held=is_held)))
            invoice = Invoice("draft", state.hours[period].at_stripe, is_held)
        return done(state, number, worker._replace(fetched=invoice), rules)
    if task == STORE:
        assert worker.fetched is not None
        item, hour = state.items[period], state.hours[period]
        return _changing(state, number, period, rules.with_invoice(item, period, worker.fetched, hour), rules)
    if task == BALANCE:
        return _balanced(state, number, rules)
    if task.startswith(RECOUNT):
        is_late = task == RECOUNT_LATE
        about = period if is_late else int(task.removeprefix(RECOUNT)) - 1
        after = rules.recounted(state.items[about], state.hours[about], is_late=is_late)
        return _changing(state, number, about, after, rules)
    if task == LOOK:
        is_waiting = state.items[period].state == "draft" and state.hours[period].is_due
        return done(state, number, worker, rules) if is_waiting else with_worker(state, number, None)
    return _metered(state, number, rules)


def done(state: State, number: int, worker: Worker, rules: Rules) -> State:
    """Return the state in which a worker has done the first thing of its agenda, and knows what comes after it."""
    agenda = worker.agenda[1:]
    if worker.agenda[0] == STORE and is_settled(state.items[worker.period]) and rules.settles_up(worker):
        agenda = tuple(f"{RECOUNT} {period + 1}" for period in _to_recount(state, worker.period, rules))
        agenda = (*agenda, BALANCE)
    if not agenda:
        after = with_worker(state, number, None)
        return _answered(after, worker) if worker.kind == "delivery" else after
    return with_worker(state, number, worker._replace(agenda=agenda, change=None, follows=None))


def _to_recount(state: State, period: int, rules: Rules) -> Iterator[int]:
    if period and is_settled(state.items[period - 1]):
        yield period - 1
    if rules.recounts_itself():
        yield period


def _answered(state: State, worker: Worker) -> State:
    newest = max(state.answered[worker.period], worker.since, key=STATUSES.index)
    return state._replace(answered=put(state.answered, worker.period, newest))


def _changing(state: State, number: int, period: int, after: Item, rules: Rules) -> State:
    """Let a worker be about to write what it has read and changed; go on where nothing has changed."""
    worker, before = state.workers[number], state.items[period]
    if after == before:
        return done(state, number, worker, rules)
    return with_worker(state, number, worker._replace(change=Change(period, before.version, after)))


def _changed(state: State, number: int, change: Change, rules: Rules) -> State:
    """Write a period, or read it again where somebody else was first."""
    worker = state.workers[number]._replace(change=None)
    if not rules.may_change(state, change):
        return with_worker(state, number, worker)
    after = rules.changed(state.items[change.period], change)
    return done(state._replace(items=put(state.items, change.period, after)), number, worker, rules)


def _balanced(state: State, number: int, rules: Rules) -> State:
    """Read all periods, then write what follows; read again where somebody else was first."""
    worker = state.workers[number]
    if worker.follows is None:
        follows = rules.follows(state, worker.phase)
        if follows.changed:
            return with_worker(state, number, worker._replace(follows=follows))
        return done(state, number, worker, rules)
    after = rules.written(state, worker.follows)
    if after is None:
        return with_worker(state, number, worker._replace(follows=None))
    return done(after, number, worker, rules)


def _metered(state: State, number: int, rules: Rules) -> State:
    """Return the state after the next step of a run with its hour."""
    worker = state.workers[number]
    task, now, before = worker.agenda[0], state.hours[worker.period], worker.hour
    if task in (READ_HOUR, READ_PERIODS):
        if task == READ_PERIODS:
            worker = worker._replace(is_settled=rules.is_settled(state, worker.period, before or now))
        elif not now.is_due:
            return with_worker(state, number, None)
        else:
            worker = worker._replace(hour=now)
        if len(worker.agenda) > 1:
            return done(state, number, worker, rules)
        assert worker.hour is not None
        assert worker.is_settled is not None
        agenda = AGENDAS[rules.plan(worker.hour, worker.phase, worker.is_settled)]
        return with_worker(state, number, worker._replace(agenda=agenda, is_settled=None))
    assert before is not None
    hour = now._replace(version=now.version + 1)
    if task == SEND:
        if not rules.may_send(now, before):
            return with_worker(state, number, None)
        hour = hour._replace(is_sending=True, at_stripe=total(before))
        came_late = state.invoices[worker.period].status in ("open", "void")
        worker = worker._replace(hour=before._replace(version=hour.version, came_late=came_late))
    elif not (rules.may_settle_late if task == SETTLE_LATE else rules.may_settle)(now, before):
        return with_worker(state, number, None)
    elif task == SETTLE:
        hour = hour._replace(is_due=False, is_sending=False, reported=total(before), came_late=before.came_late)
    elif task == SETTLE_LATE:
        hour = hour._replace(is_due=False, is_sending=False, late=total(before))
    else:
        hour = hour._replace(is_due=False)
    return done(state._replace(hours=put(state.hours, worker.period, hour)), number, worker, rules)


AGENDAS = {
    "send": (SEND, SETTLE),
    "late": (RECOUNT_LATE, BALANCE, SETTLE_LATE),
    "settle unsent": (SETTLE_UNSENT,),
}
