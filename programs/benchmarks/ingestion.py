"""Measure how usage events are counted: `make bench-ingestion`.

In one process, in turn for each batch, each way with tables of its own on DynamoDB Local (a process of its own). The
processor time is that of this process alone (user and system, all threads); whatever else the machine does makes all
ways slower alike.

- *function*: the function's handler, batch by batch, as Lambda calls it; log and metrics are written, to nowhere.
- *plain*: the obvious program: one transaction for each event, with its identity and its count.
- *floor*: the calls that the function made, recorded and made again with nothing between, by the same client.

Write units are reckoned by DynamoDB's rule from the calls of the function: two for each item of a transaction, one more
where an hour gets into the index; also for transactions that were refused. `--units` asks DynamoDB Local.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from billing.batches import batches as in_batches
from programs.benchmarks.calls import Call, recorded
from programs.benchmarks.ingestion_load import METER, Load, batch_event, batches
from programs.benchmarks.ingestion_ways import count_plainly, write_units
from programs.benchmarks.webhook import silence
from programs.local import dynamodb_local, tables

LOADS = (
    # A gateway's or a service's own lists: the events of one organisation together.
    Load(10_000, 100, 100, 1_000),
    Load(2_000, 1, 100, 1_000),
    # In no order at all.
    Load(2_000, 1, 1, 10),
    Load(2_000, 1, 1, 100),
    Load(2_000, 100, 1, 10),
    Load(2_000, 100, 1, 100),
    Load(2_000, 100, 1, 1_000),
    Load(2_000, 10_000, 1, 10),
    Load(2_000, 10_000, 1, 1_000),
    # Some of them delivered before.
    Load(5_000, 100, 100, 1_000, duplicates=0.01),
    Load(5_000, 100, 100, 1_000, duplicates=0.1),
    Load(5_000, 100, 100, 1_000, duplicates=0.5),
    # One hot organisation, counted by several functions at once.
    Load(2_000, 1, 1, 100, workers=5),
    Load(5_000, 1, 1, 1_000, workers=5),
)
# Of each batch: what the plain way costs for an event does not depend on how many there are.
PLAIN_PART = 0.1
COLUMNS = (
    "organisations",
    "in a row",
    "batch",
    "duplicates",
    "at once",
    "events/s",
    "ms an event",
    "events a processor second",
    "times plain",
    "of the floor",
    "write units an event",
)


@dataclass
class Way:
    """What a way took: seconds of the processor and of the clock, for so many events."""

    processor: float = 0
    seconds: float = 0
    events: int = 0

    def measure(self, work: Callable[[], Any], events: int) -> None:
        """Do some work and add what it took."""
        seconds, processor = time.perf_counter(), time.process_time()
        work()
        self.processor += time.process_time() - processor
        self.seconds += time.perf_counter() - seconds
        self.events += events

    @property
    def milliseconds(self) -> float:
        """Return the processor's time for an event."""
        return 1000 * self.processor / self.events


@dataclass
class Measured:
    """The three ways with one load, and the write units of the function."""

    function: Way
    plain: Way
    floor: Way
    units: int


class Bench:
    """Tables for each measurement, and the ways to count events in them."""

    def __init__(self, endpoint: str) -> None:
        from billing import clock

        self.endpoint, self.namespaces = endpoint, 0
        self.hour = clock.hour_of(clock.utc_now()) - timedelta(hours=1)

    def use_new_tables(self) -> Any:
        """Make empty tables for what comes next, and return the function's own client of them.

        DynamoDB Local keeps the tables of one access key apart from those of another.
        """
        from billing.tables import table

        self.namespaces += 1
        os.environ["AWS_ACCESS_KEY_ID"] = f"ingestion{self.namespaces}"
        table._connection.cache_clear()
        client = tables.client_for(self.endpoint)
        definitions = tables.table_definitions()
        for name in ("UsageTable", "UsageEventsTable"):
            client.create_table(**definitions[name])
        table.client().describe_table(TableName="UsageTable")  # what the first call opens is no part of an event
        return table.client()

    def measure(self, load: Load, units: Counter[str] | None = None) -> Measured:
        """Count a load's events in all three ways, in turn for each batch, and see that the function counted them."""
        plain_client, floor_client = self.use_new_tables(), self.use_new_tables()
        self.use_new_tables()
        found = Measured(Way(), Way(), Way(), 0)
        all_events, calls = batches(load, self.hour), list[Call]()
        with silence(), ThreadPoolExecutor(load.workers) as executor:
            for at_once in in_batches(all_events, load.workers):
                arriving = [batch_event(events) for events in at_once]
                number = sum(map(len, at_once))
                gc.freeze()  # what the benchmark remembers is no garbage, and no function's
                with recorded(units) as made:
                    invoke = map if load.workers == 1 else executor.map
                    found.function.measure(lambda: list(invoke(handle, arriving)), number)  # noqa: B023  # at once
                found.floor.measure(partial(make_again, floor_client, made, load), number)
                some = [event for events in at_once for event in events[: max(1, int(len(events) * PLAIN_PART))]]
                found.plain.measure(partial(count_plainly, plain_client, json.dumps(some)), len(some))
                calls += made
        found.units = write_units(calls)
        check(all_events)
        return found


class _Context:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def handle(event: dict[str, Any]) -> None:
    """Let the function have a batch; as with SQS, what is not done comes again."""
    from functions.usage_ingestion import app

    while failures := app.handler(event, _Context())["batchItemFailures"]:
        left = {failure["itemIdentifier"] for failure in failures}
        event = {"Records": [each for each in event["Records"] if each["messageId"] in left]}


def make_again(client: Any, calls: Sequence[Call], load: Load) -> None:
    """Make a batch's calls again, as many at once: those of one organisation's hour one after the other."""
    from billing.ingestion.counting import CALLS_AT_ONCE

    def make(call: Call) -> None:
        # One that was refused is refused again.
        with suppress(client.exceptions.TransactionCanceledException):
            client._make_api_call(*call[1])

    if len(calls) == 1 or load.organizations == 1:
        for call in calls:
            make(call)
        return
    with ThreadPoolExecutor(CALLS_AT_ONCE) as executor:
        list(executor.map(make, calls))


def check(all_events: Iterable[Sequence[dict[str, Any]]]) -> None:
    """See that the hours have what the distinct events say, no more and no less."""
    from billing.tables.usage import UsageRecord

    distinct = {event["id"]: event["data"]["value"] for events in all_events for event in events}
    counted = sum(int(hour.counted(METER) or 0) for hour in UsageRecord.scan(consistent_read=True))
    assert counted == sum(distinct.values()), (counted, sum(distinct.values()))


def show(load: Load, found: Measured) -> dict[str, float]:
    """Print a row of the table, and return its ratios."""
    function = found.function
    ratios = {
        "plain": found.plain.milliseconds / function.milliseconds,
        "floor": function.milliseconds / found.floor.milliseconds,
        "units": found.units / load.events,
    }
    cells = [f"{load.organizations:,}", f"{load.in_a_row}", f"{load.batch:,}", f"{load.duplicates:.0%}"]
    cells += [f"{load.workers}", f"{function.events / function.seconds:,.0f}", f"{function.milliseconds:.3f}"]
    cells += [f"{1000 / function.milliseconds:,.0f}", f"{ratios['plain']:.1f}"]
    cells += [f"{ratios['floor']:.2f}", f"{ratios['units']:.2f}"]
    print(f"| {' | '.join(cells)} |", flush=True)
    return ratios


def ask_for_units(bench: Bench) -> None:
    """Print what DynamoDB Local charges for a load, beside what the rule says."""
    load = Load(1_000, 10, 100, 1_000)
    units: Counter[str] = Counter()
    found = bench.measure(load, units)
    print(f"\nDynamoDB Local charged {dict(units)} for {load.events} events; the rule says {found.units}.")


def main() -> None:
    """Measure all loads and print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m programs.benchmarks.ingestion", description=main.__doc__)
    parser.add_argument("--part", type=float, default=1, help="measure with this part of the events (default: 1)")
    parser.add_argument("--profile", action="store_true", help="print where the function's time goes, and end")
    arguments = parser.parse_args()
    with dynamodb_local.running_dynamodb_local() as server:
        _set_environment(server.endpoint)
        bench = Bench(server.endpoint)
        if arguments.profile:
            _profile(bench)
            return
        bench.measure(Load(500, 10, 10, 100))  # what the first use makes is no part of the first load
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        loads = [(load, _part(load, arguments.part)) for load in LOADS]
        found = {load: show(part, bench.measure(part)) for load, part in loads}
        ask_for_units(bench)
        _conclude(found)


def _part(load: Load, part: float) -> Load:
    events = max(load.batch, int(load.events * part))
    return Load(events, load.organizations, load.in_a_row, load.batch, load.duplicates, load.workers)


def _conclude(loads: dict[Load, dict[str, float]]) -> None:
    """Print the goals, of which each is about the load that it names."""
    together = loads[LOADS[0]]
    print("\nof 100 organisations with 100 events in a row, in batches of 1,000:")
    print(f"events a processor second, function : plain  {together['plain']:6.1f}   (goal: at least 5)")
    print(f"processor time, function : floor            {together['floor']:6.2f}   (goal: at most 1.3)")
    print(f"write units an event                        {together['units']:6.2f}   (goal: at most 2.2)")


def _profile(bench: Bench) -> None:
    import cProfile
    import pstats

    from billing.ingestion import counting
    from programs.local.inline_executor import InlineExecutor

    vars(counting)["ThreadPoolExecutor"] = InlineExecutor
    profile = cProfile.Profile()
    profile.runcall(bench.measure, LOADS[0])
    pstats.Stats(profile).sort_stats("tottime").print_stats(40)


def _set_environment(endpoint: str) -> None:
    os.environ.update(
        AWS_SECRET_ACCESS_KEY="benchmark",
        AWS_DEFAULT_REGION="eu-central-1",
        AWS_ENDPOINT_URL_DYNAMODB=endpoint,
        POWERTOOLS_SERVICE_NAME="ingestion",
        USAGE_DEAD_LETTER_QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/123456789012/none",
    )
    os.environ.pop("AWS_SESSION_TOKEN", None)


if __name__ == "__main__":
    main()
