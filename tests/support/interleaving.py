"""Several processes of the system, interleaved call by call: who goes on, and who dies, is the test's to say.

A process is a thread that waits before each of its calls to DynamoDB or Stripe until it is told to go on. Only one runs
at a time, so that the same steps always lead to the same end.

    interleaving = Interleaving(monkeypatch)
    first = interleaving.start(lambda: process_shards(...))
    first.run_until("declare")       # stands before its declaration
    second = interleaving.start(...)
    second.finish()
    first.kill()
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from billing.metering import invocation, service
from billing.tables.table import client
from tests.support.calls import STRIPE, Call, Crash, hook

TIMEOUT_SECONDS = 60


class InlineExecutor:
    """An executor that makes its calls one after the other, in the thread that asks."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        return iter([function(*arguments) for arguments in zip(*iterables, strict=True)])


class Process:
    """One process, which stands before its next call (`waiting`) or has ended (`waiting` is None)."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.waiting: str | None = None
        self.result: object = None
        self.error: BaseException | None = None
        self._work = work
        self._may_go, self._has_stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._is_killed = False
        self.thread = threading.Thread(target=self._main, daemon=True)

    def _main(self) -> None:
        try:
            self.stop_before("start")
            self.result = self._work()
        except Crash:
            pass
        except BaseException as error:  # whatever it is, the test has to see it
            self.error = error
        self.waiting = None
        self._has_stopped.release()

    def stop_before(self, step: str) -> None:
        """Wait for the test's word; called in the process's own thread."""
        self.waiting = step
        self._has_stopped.release()
        self._may_go.acquire()
        if self._is_killed:
            raise Crash

    def wait_until_it_stops(self) -> None:
        assert self._has_stopped.acquire(timeout=TIMEOUT_SECONDS), "the process neither makes a call nor ends"
        if self.error is not None:
            raise self.error

    def step(self) -> None:
        """Let it make the call it stands before, and go on to its next one."""
        self._may_go.release()
        self.wait_until_it_stops()

    def run_until(self, step: str) -> Process:
        """Let it go on until it stands before a step of the protocol: read, declare, send, settle."""
        while self.waiting is not None and self.waiting != step:
            self.step()
        assert self.waiting is not None, f"it ended without a call that would {step}"
        return self

    def finish(self) -> object:
        """Let it go on to its end; return what it returned."""
        while self.waiting is not None:
            self.step()
        return self.result

    def kill(self) -> None:
        """End it where it stands: the call it is about to make is never made."""
        if self.waiting is not None:
            self._is_killed = True
            self.step()


class Interleaving:
    """Processes that run side by side in one test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._processes: dict[threading.Thread, Process] = {}
        monkeypatch.setattr(invocation, "ThreadPoolExecutor", InlineExecutor)
        monkeypatch.setattr(service, "ThreadPoolExecutor", InlineExecutor)
        self._watch = hook(monkeypatch, only=client()).watched(self._stop)
        self._watch.__enter__()

    def start(self, work: Callable[[], object]) -> Process:
        """Start a process; it stands before its first call."""
        process = Process(work)
        self._processes[process.thread] = process
        process.thread.start()
        process.wait_until_it_stops()
        return process

    def _stop(self, _: int, call: Call) -> None:
        process = self._processes.get(threading.current_thread())
        if process is not None:
            process.stop_before(_step_of(call))

    def end(self) -> None:
        """Kill what has not ended, and watch no more."""
        for process in self._processes.values():
            process.kill()
        self._watch.__exit__(None, None, None)


def _step_of(call: Call) -> str:
    """Return the step of the metering protocol that a call makes, else its name."""
    if call.name == "dynamodb:BatchGetItem" and "UsageTable" in call.request["RequestItems"]:
        return "read"
    if call.name == "dynamodb:BatchExecuteStatement":
        return "declare" if 'SET "sending"' in call.request["Statements"][0]["Statement"] else "settle"
    if call.name == STRIPE and not {"meter_events", "meter_event_stream"}.isdisjoint(call.request.__code__.co_names):
        return "send"
    return call.name
