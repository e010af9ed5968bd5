"""Measure how usage events are counted: `make bench-ingestion`.

In one process, one way after the other, each with tables of its own on DynamoDB Local (a process of its own); a way's
processor time is that of this process alone (user and system, all threads), so that it hardly depends on what else the
machine does.

- *function*: the function's handler, batch by batch, as Lambda calls it; log and metrics are written, to nowhere.
- *plain*: the obvious program: one transaction for each event, with its identity and its count.
- *floor*: the calls that the function made, recorded and made again with nothing between, by the same client.

Write units are reckoned by DynamoDB's rule from the calls of the function: two for each item of a transaction, one more
where an hour gets into the index; also for transactions that were refused. `--units` asks DynamoDB Local.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

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
# Each way is measured so often, in turn, and the least of it stands: whatever else the machine does only adds to it.
TURNS = 3
# What the plain way costs for an event does not depend on how many there are.
PLAIN_EVENTS = 300
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


@dataclass(frozen=True, slots=True)
class Took:
    """What a way took: milliseconds of the processor, and of the clock, for an event."""

    processor: float
    clock: float


class Bench:
    """Tables for each measurement, and the ways to count events in them."""

    def __init__(self, endpoint: str) -> None:
        from billing import clock

        self.endpoint, self.namespaces = endpoint, 0
        self.hour = clock.hour_of(clock.utc_now()) - timedelta(hours=1)

    def use_new_tables(self) -> None:
        """Give what is measured next empty tables: DynamoDB Local keeps them apart by the access key."""
        from billing.tables import table

        self.namespaces += 1
        os.environ["AWS_ACCESS_KEY_ID"] = f"ingestion{self.namespaces}"
        table._connection.cache_clear()
        client = tables.client_for(self.endpoint)
        definitions = tables.table_definitions()
        for name in ("UsageTable", "UsageEventsTable"):
            client.create_table(**definitions[name])
        table.client().describe_table(TableName="UsageTable")  # what the first call opens is no part of an event

    def count(self, load: Load, units: Counter[str] | None = None) -> tuple[Took, list[list[Call]]]:
        """Let the function count, and see that it did; return what it took and the calls of each batch."""
        from functions.usage_ingestion import app

        self.use_new_tables()
        all_events = batches(load, self.hour)
        arriving = [batch_event(events) for events in all_events]

        begun = [0]

        def handle(event: dict[str, Any]) -> None:
            # As SQS does: what is not done comes again.
            while failures := app.handler(event, _Context())["batchItemFailures"]:
                left = {failure["itemIdentifier"] for failure in failures}
                event = {"Records": [each for each in event["Records"] if each["messageId"] in left]}
            begun.append(len(calls))

        with recorded(units) as calls, silence(), ThreadPoolExecutor(load.workers) as executor:
            invoke = map if load.workers == 1 else executor.map
            took = measured(lambda: list(invoke(handle, arriving)), load.events)
        self._check(all_events)
        return took, [calls[start:end] for start, end in pairwise(begun)]

    def _check(self, all_events: Iterable[Sequence[dict[str, Any]]]) -> None:
        from billing.tables.usage import UsageRecord

        distinct = {event["id"]: event["data"]["value"] for events in all_events for event in events}
        counted = sum(int(hour.counted(METER) or 0) for hour in UsageRecord.scan(consistent_read=True))
        assert counted == sum(distinct.values()), (counted, sum(distinct.values()))

    def count_plainly(self, load: Load) -> Took:
        """Count some of the events, each in a transaction of its own."""
        import boto3

        self.use_new_tables()
        client = boto3.client("dynamodb", endpoint_url=self.endpoint)
        arriving = [batch_event(events) for events in batches(load, self.hour)]
        bodies = [record["body"] for event in arriving for record in event["Records"]]

        def work() -> None:
            for body in bodies:
                value = json.loads(body)
                for event in value if isinstance(value, list) else [value]:
                    count_plainly(client, event)

        return measured(work, load.events)

    def make_again(self, calls: Iterable[Sequence[Call]], load: Load) -> Took:
        """Make the calls of each batch again, as many at once: those of one organisation's hour one after the other."""
        from billing.ingestion.counting import CALLS_AT_ONCE
        from billing.tables import table

        self.use_new_tables()
        client: Any = table.client()

        def make(call: Call) -> None:
            # One that was refused is refused again.
            with suppress(client.exceptions.TransactionCanceledException):
                client._make_api_call(*call[1])

        def work() -> None:
            for batch in calls:
                if len(batch) == 1 or load.organizations == 1:
                    for call in batch:
                        make(call)
                    continue
                with ThreadPoolExecutor(CALLS_AT_ONCE) as executor:
                    list(executor.map(make, batch))

        return measured(work, load.events)


class _Context:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def measured(work: Callable[[], Any], events: int) -> Took:
    """Do the work and return what it took for an event."""
    seconds, processor = time.perf_counter(), time.process_time()
    work()
    processor, seconds = time.process_time() - processor, time.perf_counter() - seconds
    return Took(1000 * processor / events, 1000 * seconds / events)


def measure(bench: Bench, load: Load) -> dict[str, float]:
    """Measure the function with a load, beside the plain way and the floor; print a row of the table."""
    function, plain, floor, units = list[Took](), list[Took](), list[Took](), 0
    for _ in range(TURNS):
        took, calls = bench.count(load)
        function.append(took)
        plain.append(bench.count_plainly(_some(load)))
        floor.append(bench.make_again(calls, load))
        units = write_units(calls)
    processor = least(function)
    ratios = {
        "plain": least(plain) / processor,
        "floor": processor / least(floor),
        "units": units / load.events,
    }
    cells = [f"{load.organizations:,}", f"{load.in_a_row}", f"{load.batch:,}", f"{load.duplicates:.0%}"]
    cells += [f"{load.workers}", f"{1000 / min(took.clock for took in function):,.0f}", f"{processor:.3f}"]
    cells += [f"{1000 / processor:,.0f}", f"{ratios['plain']:.1f}"]
    cells += [f"{ratios['floor']:.2f}", f"{ratios['units']:.2f}"]
    print(f"| {' | '.join(cells)} |", flush=True)
    return ratios


def least(tooks: Iterable[Took]) -> float:
    """Return the least of the processor's time."""
    return min(took.processor for took in tooks)


def _some(load: Load) -> Load:
    """Return the same load with as many events as the plain way is measured with."""
    return Load(min(load.events, PLAIN_EVENTS), load.organizations, load.in_a_row, load.batch, load.duplicates)


def ask_for_units(bench: Bench) -> None:
    """Print what DynamoDB Local charges for a load, beside what the rule says."""
    load = Load(1_000, 10, 100, 1_000)
    units: Counter[str] = Counter()
    _, calls = bench.count(load, units)
    print(f"\nDynamoDB Local charged {dict(units)} for {load.events} events; the rule says {write_units(calls)}.")


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
        bench.count(Load(500, 10, 10, 100))  # what the first use makes is no part of the first load
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        found = {load: measure(bench, _part(load, arguments.part)) for load in LOADS}
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
    profile.runcall(bench.count, LOADS[0])
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
