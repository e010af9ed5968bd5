"""Runs, reports and comparisons of one hour, side by side, call by call, as chance has it: it ends exact."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from billing import clock
from billing.tables.table import is_transient
from tests.metering.one_hour import READINGS, READINGS_OF_MOST_RECENT, SENSORS, START, TRANSPORTS, OneHour
from tests.support.calls import LIFETIME, Disturbance
from tests.support.faults import InConflict, NoResponse, Throttled
from tests.support.interleaving import Interleaving, Process, step_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

MOST_PROCESSES = 3
MOST_STEPS = 40
FAULTS = (NoResponse(has_effect=True), NoResponse(has_effect=False), Throttled(), InConflict())
WHAT_HAPPENS = {"go on": 8, "fail": 1, "run": 3, "report": 1, "compare": 1, "count": 4, "die": 1, "wait": 3}


class Life:
    """A random life of an hour. `told` is what happened, for whoever has to find out why it did not end well."""

    def __init__(self, hour: OneHour, choice: random.Random) -> None:
        self.hour, self.choice = hour, choice
        self.told: list[str] = []
        self._started: dict[Process, datetime] = {}

    def live(self) -> None:
        """Let something happen many times; then whoever still lives dies, or goes on to the end."""
        self._count()
        for _ in range(self.choice.randint(10, MOST_STEPS)):
            self._happen(self.choice.choices(list(WHAT_HAPPENS), list(WHAT_HAPPENS.values()))[0])
        while self._living():
            self._happen("go on")

    def _living(self) -> list[Process]:
        return [process for process in self._started if process.pending is not None]

    def _name(self, process: Process) -> str:
        pending = step_of(process.pending) if process.pending is not None else "ended"
        return f"{list(self._started).index(process)} ({pending})"

    def _happen(self, what: str) -> None:
        living = self._living()
        if what in ("run", "report", "compare"):
            if len(living) < MOST_PROCESSES:
                self._start(what)
        elif what == "count":
            self._count()
        elif what == "wait":
            self._wait(timedelta(minutes=self.choice.choice((1, 2, 5, 9, 14, 20, 61))))
        elif living:
            process = self.choice.choice(living)
            self.told.append(f"{what} {self._name(process)}")
            if what == "die":
                process.kill()
            elif what == "fail":
                self._step(process, self.choice.choice(FAULTS))
            else:
                # Often many calls in a row: what goes wrong is one process that stands still while another ends.
                for _ in range(self.choice.choice((1, 2, 3, 12))):
                    self._step(process)

    def _step(self, process: Process, disturbance: Disturbance | None = None) -> None:
        try:
            if process.pending is not None:
                process.step(disturbance)
        except Exception as error:
            # A report raises what DynamoDB did.
            if not is_transient(error):
                raise

    def _start(self, what: str) -> None:
        number = self.choice.randrange(6)
        starting: dict[str, Callable[[], Process]] = {
            "run": self.hour.run,
            "compare": self.hour.compare,
            "report": lambda: self.hour.report(number),
        }
        process = starting[what]()
        self._started[process] = clock.utc_now()
        self.told.append(f"{what} {self._name(process)}")

    def _count(self) -> None:
        name, number = self.choice.choice((SENSORS, READINGS)), self.choice.randrange(6)
        self.told.append(f"{name} = {number}")
        self.hour.count(**{name: number})

    def _wait(self, time: timedelta) -> None:
        for process in self._living():
            if self._started[process] + LIFETIME < clock.utc_now() + time:
                process.kill()
        self.told.append(f"wait {time}")
        self.hour.stack.advance(seconds=time.total_seconds())


@pytest.mark.parametrize("lives", [10, pytest.param(150, marks=pytest.mark.deep)])
@pytest.mark.parametrize("reading", READINGS_OF_MOST_RECENT)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_hour_ends_exact_whatever_happens_between_the_calls_of_its_senders(
    stack: Stack,
    dynamodb: DynamoDBClient,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    reading: str,
    lives: int,
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    stack.simulator.settings.update({"most_recent": reading})
    for seed in range(lives):
        stack.simulator.clock.set(START)
        with monkeypatch.context() as patch, Interleaving(patch) as interleaving:
            life = Life(OneHour(stack, dynamodb, interleaving, f"org-{seed}"), random.Random(f"{seed} {transport}"))
            life.live()
            try:
                life.hour.assert_is_exact_or_due()
            except AssertionError as error:
                raise AssertionError(f"life {seed}: " + "\n".join(life.told)) from error
