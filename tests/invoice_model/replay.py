"""The real code beside the model: each of the model's steps is made by real work, on DynamoDB and the simulator."""

from __future__ import annotations

from typing import Any

from billing.clock import HOUR
from programs.invoice_model.rules import READ_PERIODS
from programs.invoice_model.scenarios import Scenario
from programs.invoice_model.state import NOT_THERE, READINGS, STARTS, Hour, Invoice, Item, State, Worker
from programs.invoice_model.steps import BALANCE, FETCH, RECOUNT, STORE, Step
from tests.invoices.weekly import Weekly, Work
from tests.support.calls import STRIPE, Call
from tests.support.interleaving import Interleaving, Process

PERIODS, USAGE = "PeriodsTable", "UsageTable"
READ, QUERY, WRITE = "dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"
TRANSACTION, STATEMENTS = "dynamodb:TransactWriteItems", "dynamodb:BatchExecuteStatement"
# What the model does not tell apart: reads, and a call to Stripe between two writes.
PASSED = (READ, QUERY, "dynamodb:BatchGetItem", STRIPE)


class Replay:
    """Real periods, hours and invoices, and real work on them, which go the model's way."""

    def __init__(self, weekly: Weekly, interleaving: Interleaving, scenario: Scenario) -> None:
        self._weekly, self._interleaving, self._scenario = weekly, interleaving, scenario
        self._processes: list[Process] = []
        self._begin(0)
        for period in range(scenario.closed):
            weekly.end(period)
            self._begin(period + 1)
            weekly.finalize(period)
            weekly.delivery(period)()

    def _begin(self, period: int) -> None:
        """Count a period's hour for the first time, and send it."""
        if period < len(self._scenario.counts):
            self._weekly.count(period, self._scenario.counts[period][0])
            self._weekly.run(period)()

    def make(self, step: Step, before: State) -> None:
        """Make a step of the model's."""
        about, after = step.about, step.state
        if step.kind == "counts":
            self._weekly.count(about, after.hours[about].own)
        elif step.kind == "ends":
            self._weekly.end(about)
            self._begin(about + 1)
        elif step.kind == "is final":
            self._weekly.finalize(about)
        elif step.kind == "is voided":
            self._weekly.void(about)
        elif step.kind == "dies":
            self._processes.pop(about).kill()
        elif step.kind == "goes on":
            self._go_on(about, before.workers[about].agenda[0], after)
        else:
            self._processes.append(self._interleaving.start(self._work(step)))
            self._go_on(len(self._processes) - 1, "begin", after)

    def _work(self, step: Step) -> Work:
        if step.kind == "is delivered":
            return self._weekly.delivery(step.about)
        return self._weekly.run(step.about) if step.kind == "runs" else self._weekly.look()

    def _go_on(self, number: int, task: str, after: State) -> None:
        """Let work do what the model's worker has done, and go on to where that one stands."""
        process = self._processes[number]
        if len(after.workers) < len(self._processes):
            process.finish()
            del self._processes[number]
            return
        worker = after.workers[number]
        # Of an hour that is of an open period for sure, no periods are read.
        if process.pending is not None and not (task == READ_PERIODS and process.pending.name == STATEMENTS):
            process.step()
        while process.pending is not None and not _is_reached(process.pending, worker):
            assert process.pending.name in PASSED or _writes_what_follows(worker, process.pending), process.pending.name
            process.step()
        assert process.pending is not None, f"it has ended, and the model would {worker.agenda[0]}"

    def differences(self, state: State) -> list[str]:
        """Return where the tables and Stripe are not as the model has them."""
        return [
            f"{what} {number + 1}: the model has {modelled}, in truth it is {real}"
            for what, all_modelled, read in (("hour", state.hours, self._hour), ("period", state.items, self._item))
            for number, modelled in enumerate(all_modelled)
            if modelled != (real := read(number, modelled))
        ]

    def _hour(self, number: int, modelled: Any) -> Hour:
        hour = self._weekly.hour(number)
        return Hour(
            own=_number(hour.temperature_readings),
            is_due=hour.due_at is not None,
            version=modelled.version,
            carried=_of(hour.carried),
            reported=_of(hour.reported),
            is_sending=hour.sending is not None,
            came_late=modelled.came_late,
            late=_of(hour.late),
            at_stripe=self._weekly.at_stripe(number),
        )

    def _item(self, number: int, _: Any) -> Item:
        period = self._weekly.periods().get(number)
        if period is None:
            return Item(NOT_THERE)
        invoices = list(period.invoices.values())
        is_held = period.finalizes_at is not None and period.finalizes_at > STARTS[number + 1] + 6 * HOUR
        return Item(
            version=_number(period.version),
            state=period.state,
            invoice=Invoice(invoices[0].status, invoices[0].quantities[READINGS], is_held) if invoices else Invoice(),
            counted=_of(period.counted),
            has_late_hour=bool(period.late_hours),
            carried=_of(next(iter(period.carried.values()), None)),
            told=tuple((code, totals[READINGS]) for code, totals in sorted(period.told.items())),
        )


def _number(value: float | None) -> int:
    return NOT_THERE if value is None else int(value)


def _of(totals: Any) -> int:
    return int((totals or {}).get(READINGS, NOT_THERE))


def _is_of(call: Call, name: str, table: str) -> bool:
    return call.name == name and call.parameters["TableName"] == table


def _writes_what_follows(worker: Worker, call: Call) -> bool:
    return call.name == TRANSACTION and worker.follows is None


def _is_reached(call: Call, worker: Worker) -> bool:
    """Say whether a call is the one that the model's worker stands before."""
    task = worker.agenda[0]
    if worker.change is not None:
        return _is_of(call, WRITE, PERIODS)
    if worker.follows is not None:
        return call.name == TRANSACTION or _is_of(call, READ, USAGE)
    if task == STORE or task.startswith(RECOUNT):
        return _is_of(call, READ, PERIODS)
    if task == BALANCE:
        return _is_of(call, QUERY, PERIODS)
    if task == FETCH:
        return call.name == STRIPE
    if task == READ_PERIODS:
        return _is_of(call, QUERY, PERIODS) or call.name == STATEMENTS
    return call.name == STATEMENTS
