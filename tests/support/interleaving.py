"""Several processes of the system, interleaved call by call: who goes on, and who dies, is the test's to say.

A process is a thread that waits before each of its calls to DynamoDB or Stripe until it is told to go on. Only one runs
at a time, so that the same steps always lead to the same end. Each has a Stripe gateway of its own.

    with Interleaving(monkeypatch) as interleaving:
        first = interleaving.start(lambda: process_shards(...))
        first.run_until("declare")              # stands before its declaration
        second = interleaving.start(...)
        second.step(Throttled())                # what `faults.py` has becomes of its next call
        second.finish()
        first.kill()

or, where no test chooses: `interleaving.follow([0, 1, 1, Killed(0)])`, and `interleaving.run_at_random(Random(7))`,
which returns the schedule that it made up.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from billing.metering import invocation, service
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.tables.table import client
from programs.local.inline_executor import InlineExecutor
from tests.support.calls import STRIPE, Call, Crash, Disturbance, hook

TIMEOUT_SECONDS = 60
# What of Stripe's SDK sends usage.
SENDS = ("v1.billing.meter_events.create", "v2.billing.meter_event_stream.create")


@dataclass(frozen=True, slots=True)
class Killed:
    """A schedule's word for the end of a process where it stands."""

    process: int


Schedule = Iterable[int | Killed]


class Process:
    """One process, which stands before a call (`pending`) or has ended (`pending` is None).

    `result` is what its work returned. What its work raised, the step that led there raises.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self.pending: Call | None = None
        self.result: object = None
        self._work = work
        self._error: BaseException | None = None
        self._disturbance: Disturbance | None = None
        self._may_go, self._has_stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._is_killed = False
        self.thread = threading.Thread(target=self._main, daemon=True)

    def start(self) -> None:
        """Run to the first call."""
        self.thread.start()
        self._wait()

    def step(self, disturbance: Disturbance | None = None) -> None:
        """Let it make the call it stands before, or have that call disturbed, and go on to its next one."""
        assert self.pending is not None, "it has ended"
        self._disturbance = disturbance
        self._may_go.release()
        self._wait()

    def run_until(self, step: str) -> Process:
        """Let it go on until it stands before a step of the protocol: read, declare, send, settle."""
        while self.pending is not None and step_of(self.pending) != step:
            self.step()
        assert self.pending is not None, f"it ended without a call that would {step}"
        return self

    def finish(self) -> object:
        """Let it go on to its end; return what its work returned."""
        while self.pending is not None:
            self.step()
        return self.result

    def kill(self) -> None:
        """End it where it stands: the call it is about to make is never made."""
        if self.pending is not None:
            self._is_killed = True
            self.step()

    def stop_before(self, call: Call) -> Disturbance | None:
        """Wait for the test's word, in the process's own thread; return what becomes of the call."""
        if self._is_killed:
            raise Crash(call.name)  # the dead make no call, not even where an error is caught
        self.pending = call
        self._has_stopped.release()
        self._may_go.acquire()
        if self._is_killed:
            raise Crash(call.name)
        return self._disturbance

    def _main(self) -> None:
        try:
            self.result = self._work()
        except Crash:
            pass
        except BaseException as error:  # whatever it is, the test has to see it
            self._error = error
        self.pending = None
        self._has_stopped.release()

    def _wait(self) -> None:
        assert self._has_stopped.acquire(timeout=TIMEOUT_SECONDS), "the process neither makes a call nor ends"
        if self.pending is None:
            self.thread.join(TIMEOUT_SECONDS)
        if self._error is not None:
            raise self._error


class Interleaving:
    """Processes that run side by side for the length of a `with` block; those that have not ended die at its end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: list[Process] = []
        self._of_thread: dict[threading.Thread, Process] = {}
        monkeypatch.setattr(invocation, "ThreadPoolExecutor", InlineExecutor)
        monkeypatch.setattr(service, "ThreadPoolExecutor", InlineExecutor)
        self._gateways: dict[Process, StripeGateway] = {}
        for name, module in tuple(sys.modules.items()):
            if name.startswith(("billing.", "functions.")) and vars(module).get("stripe_gateway") is stripe_gateway:
                monkeypatch.setattr(module, "stripe_gateway", self._gateway)
        self._watch = hook(monkeypatch, only=client()).watched(self._stop)

    def __enter__(self) -> Interleaving:
        self._watch.__enter__()
        return self

    def __exit__(self, *arguments: object) -> None:
        for process in self.processes:
            process.kill()
        self._watch.__exit__(None, None, None)

    def start(self, work: Callable[[], object]) -> Process:
        """Start a process; it stands before its first call."""
        process = Process(work)
        self.processes.append(process)
        self._of_thread[process.thread] = process
        process.start()
        return process

    def follow(self, schedule: Schedule) -> None:
        """Let processes, numbered as they were started, go on in this order; pass over those that have ended."""
        for each in schedule:
            if isinstance(each, Killed):
                self.processes[each.process].kill()
            elif self.processes[each].pending is not None:
                self.processes[each].step()

    def run_at_random(self, choice: random.Random, kill_probability: float = 0.0) -> list[int | Killed]:
        """Let processes go on as chance has it until all have ended; return the schedule, which `follow` repeats."""
        schedule: list[int | Killed] = []
        while living := [number for number, process in enumerate(self.processes) if process.pending is not None]:
            number = choice.choice(living)
            schedule.append(Killed(number) if choice.random() < kill_probability else number)
            self.follow(schedule[-1:])
        return schedule

    def _stop(self, _: int, call: Call) -> Disturbance | None:
        process = self._of_thread.get(threading.current_thread())
        return process.stop_before(call) if process is not None else None

    def _gateway(self) -> StripeGateway:
        """Return the gateway of the process that asks: each has its own, with a session of its own."""
        process = self._of_thread.get(threading.current_thread())
        if process is None:
            return stripe_gateway()
        if process not in self._gateways:
            self._gateways[process] = stripe_gateway.__wrapped__()
        return self._gateways[process]


def step_of(call: Call) -> str:
    """Return the step of the metering protocol that a call makes, else its name."""
    if call.name == "dynamodb:BatchGetItem" and "UsageTable" in call.parameters["RequestItems"]:
        return "read"
    if call.name == "dynamodb:BatchExecuteStatement":
        return "declare" if 'SET "sending"' in call.parameters["Statements"][0]["Statement"] else "settle"
    if call.name == STRIPE and call.operation in SENDS:
        return "send"
    return call.name
