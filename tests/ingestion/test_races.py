"""Several functions count the same events and the same hours at once."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from billing.ingestion import counting
from billing.tables.table import client
from programs.local.inline_executor import InlineExecutor
from tests.ingestion.arriving import SENSORS, TEN, Ingestion, usage_event
from tests.support.interleaving import Interleaving


@pytest.mark.parametrize("functions", [8, pytest.param(24, marks=pytest.mark.deep)])
def test_an_hour_that_many_functions_count_at_once_has_each_event_once(ingestion: Ingestion, functions: int) -> None:
    client()
    events = [usage_event(str(number), number + 1) for number in range(300)]
    numbers = [
        usage_event(f"s{second}", second, meter=SENSORS, at=TEN + timedelta(seconds=second)) for second in range(99)
    ]
    start = threading.Barrier(functions)

    def arrive(function: int) -> list[list[Any]]:
        # Each event comes to three functions.
        mine = [event for number, event in enumerate([*events, *numbers]) if (number - function) % functions < 3]
        random.Random(function).shuffle(mine)
        lists = [mine[first : first + 10] for first in range(0, len(mine), 10)]
        start.wait(60)
        return [lists[int(message[1:])] for message in ingestion.arrive(*lists)]

    with ThreadPoolExecutor(functions) as executor:
        again = [body for bodies in executor.map(arrive, range(functions)) for body in bodies]
    assert ingestion.arrive(*again) == []

    assert ingestion.counted() == sum(range(1, 301))
    assert ingestion.counted(meter=SENSORS) == 98
    assert len(ingestion.identities()) == 399


def some_batch(choice: random.Random, organization: str) -> list[Any]:
    """Return messages with events of two hours, several of them twice, and numbers of sensors in any order."""
    own: dict[str, Any] = {"organization": organization, "source": organization}
    picked = [choice.randrange(12) for _ in range(choice.randint(1, 8))]
    events = [usage_event(f"r{number}", number + 1, at=TEN + timedelta(hours=number % 2), **own) for number in picked]
    sensors = choice.randrange(8)
    at = TEN + timedelta(minutes=sensors)
    number = usage_event(f"s{sensors}", sensors, meter=SENSORS, at=at, **own)
    return [*events[:2], events[2:], number]


@pytest.mark.parametrize("lives", [25, pytest.param(600, marks=pytest.mark.deep)])
def test_functions_that_take_turns_call_by_call_and_may_die_count_each_event_once(
    ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch, lives: int
) -> None:
    monkeypatch.setattr(counting, "ThreadPoolExecutor", InlineExecutor)
    monkeypatch.setattr(counting, "MOST_PARTS", 4)
    monkeypatch.setattr(counting, "pause", lambda attempt: None)
    for seed in range(lives):
        choice, organization = random.Random(seed), f"org-{seed}"
        batches = [some_batch(choice, organization) for _ in range(3)]
        batches.append(batches[0])
        with monkeypatch.context() as patch, Interleaving(patch) as interleaving:
            for batch in batches:
                interleaving.start(partial(ingestion.arrive, *batch))
            schedule = interleaving.run_at_random(choice, kill_probability=0.1)
        # SQS delivers all of it again, whatever became of it.
        for batch in batches:
            assert ingestion.arrive(*batch) == []

        values = [
            value for batch in batches for body in batch for value in (body if isinstance(body, list) else [body])
        ]
        by_id = {value["id"]: value for value in values}
        for hour in (0, 1):
            start = TEN + timedelta(hours=hour)
            own = [value for value in by_id.values() if value["time"][:13] == start.isoformat()[:13]]
            readings = sum(value["data"]["value"] for value in own if value["id"][0] == "r")
            sensors = [value["data"]["value"] for value in own if value["id"][0] == "s"]
            assert ingestion.counted(organization, start) == (readings or None), (seed, schedule)
            assert ingestion.counted(organization, start, SENSORS) == max(sensors, default=None), (seed, schedule)
