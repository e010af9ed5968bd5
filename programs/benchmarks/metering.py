"""Measure metering: `make bench-metering`, or `python -m programs.benchmarks.metering --hours 1000 50000`.

Every figure is taken in a process of its own, from the first query to the last write; DynamoDB Local and the simulator
run in theirs. Processor time is that of the measured process alone (user and system, all threads), so it hardly
depends on what else the machine does.

- *stream*, *single*: a run over all due hours, as the function makes it, with each transport.
- *plain*: the obvious program: for each organisation's hour and meter look up the customer, create one meter event.
- *floor*: the calls that the stream run made, recorded and made again with nothing between: the same bodies posted to
  Stripe, the same requests to DynamoDB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any

from programs.benchmarks.metering_ways import STRIPE_KEY
from programs.local import dynamodb_local, tables
from stripe_simulator import SimulatorClient

ORGANIZATIONS = 2_100
# The plain way and the floor are measured over fewer hours: what they cost for one does not depend on how many.
PLAIN_HOURS, FLOOR_HOURS = 1_000, 10_000


class Bench:
    """Seed tables and start measured processes, each with tables of its own."""

    def __init__(
        self, dynamodb_endpoint: str, stripe_base: str, stripe_process_id: int, dynamodb_process_id: int
    ) -> None:
        self.simulator = SimulatorClient(stripe_base)
        self.process_ids = {"simulator": stripe_process_id, "DynamoDB Local": dynamodb_process_id}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "STRIPE_"))},
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_endpoint,
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "STRIPE_API_BASE": stripe_base,
            "STRIPE_METER_EVENTS_BASE": stripe_base,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "METER_EVENTS_PER_SECOND": "1000000",
            "POWERTOOLS_SERVICE_NAME": "metering",
            "POWERTOOLS_LOG_LEVEL": "WARNING",
        }
        self.endpoint = dynamodb_endpoint
        self.tables = 0
        self.customers: list[str] = []

    def make_account(self) -> None:
        """Make the meters and customers in Stripe."""
        import stripe

        from billing.meters import METERS

        client = stripe.StripeClient(STRIPE_KEY, base_addresses={"api": self.environment["STRIPE_API_BASE"]})
        for meter in METERS:
            client.v1.billing.meters.create(
                {
                    "display_name": meter.display_name,
                    "event_name": meter.event_name,
                    "event_time_window": "hour",
                    "default_aggregation": {"formula": meter.formula},
                }
            )
        with ThreadPoolExecutor(4) as executor:
            self.customers = list(executor.map(lambda _: client.v1.customers.create({}).id, range(ORGANIZATIONS)))

    def seed(self, hours: int) -> None:
        """Make tables with so many due hours, of as many organisations as there are, for the next measurement."""
        from billing import clock

        self.tables += 1
        self.environment["AWS_ACCESS_KEY_ID"] = os.environ["AWS_ACCESS_KEY_ID"] = f"benchmark{self.tables}"
        os.environ["AWS_SECRET_ACCESS_KEY"] = "benchmark"
        client = tables.client_for(self.endpoint)
        tables.create_tables(client)
        latest = clock.hour_of(clock.utc_now()) - timedelta(hours=1)
        subscriptions, usage = [], []
        for number in range(hours):
            back, which = divmod(number, ORGANIZATIONS)
            # Another organisation for each measurement: Stripe remembers the identifiers.
            organization_id = f"organization-{self.tables}-{which:05}"
            usage.append(_hour(organization_id, which, clock.format_time(latest - timedelta(hours=back))))
            if not back:
                subscriptions.append(_subscription(organization_id, which, self.customers[which]))
        self._write(client, "SubscriptionsTable", subscriptions)
        self._write(client, "UsageTable", usage)

    def _write(self, client: Any, table: str, items: Sequence[Any]) -> None:
        def write(start: int) -> None:
            puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            client.batch_write_item(RequestItems={table: puts})

        with ThreadPoolExecutor(4) as executor:
            for _ in executor.map(write, range(0, len(items), 25)):
                pass

    def measure(self, way: str, transport: str = "stream", path: str = "") -> dict[str, Any]:
        """Measure in a process of its own; add Stripe's requests, and how busy the two servers were meanwhile."""
        requests = self.simulator.state()["requests"]["by_route"]
        busy = {name: _processor_seconds(process_id) for name, process_id in self.process_ids.items()}
        response = subprocess.run(
            [sys.executable, "-m", "programs.benchmarks.metering_ways", way, path],
            env=self.environment | {"METER_EVENT_TRANSPORT": transport},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        figures: dict[str, Any] = json.loads(response.stdout.splitlines()[-1])
        after = self.simulator.state()["requests"]["by_route"]
        figures["requests"] = sum(count for route, count in after.items() if "meter_event" in route) - sum(
            count for route, count in requests.items() if "meter_event" in route
        )
        figures["busy"] = {
            name: (_processor_seconds(process_id) - busy[name]) / figures["seconds"]
            for name, process_id in self.process_ids.items()
            if "seconds" in figures
        }
        return figures


def _hour(organization_id: str, which: int, window_start: str) -> dict[str, Any]:
    from billing.tables.usage import end_of, shard_of

    return {
        "organization_id": {"S": organization_id},
        "window_start": {"S": window_start},
        "active_sensors": {"N": str(1 + which % 90)},
        "temperature_readings": {"N": str(60 + which)},
        "due_shard": {"N": str(shard_of(organization_id))},
        "due_at": {"S": end_of(window_start)},
    }


def _subscription(organization_id: str, which: int, customer_id: str) -> dict[str, Any]:
    """Return what a run reads of the record of an organisation that is in the middle of its third month."""
    from billing import clock
    from billing.metered_subscriptions import MeteredSubscription, to_text
    from billing.meters import METERS

    today = clock.hour_of(clock.utc_now())
    starts = tuple(today + timedelta(days=days) for days in (-75, -45, -15, 15))
    meters = tuple(meter.event_name for meter in METERS)
    subscription = MeteredSubscription(f"sub_{which:014}", customer_id, starts[0], None, meters, starts)
    return {
        "organization_id": {"S": organization_id},
        "stripe_customer_id": {"S": customer_id},
        "stripe_subscription_id": {"S": subscription.subscription_id},
        "status": {"S": "active"},
        "started_at": {"S": clock.format_time(starts[0])},
        "metered_subscriptions": {"S": to_text([subscription])},
        "version": {"N": "3"},
    }


def _processor_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_simulator() -> Iterator[tuple[str, int]]:
    """Run a simulator in a process of its own, without a log; yield its address and process id."""
    command = [
        sys.executable,
        "-m",
        "stripe_simulator",
        "--port",
        "0",
        "--log-limit",
        "0",
        "--idempotency-limit",
        "1000",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1], process.pid
        finally:
            process.terminate()
            process.communicate()  # else its last words meet a closed pipe


def main() -> None:
    """Measure all ways and print the table."""
    parser = argparse.ArgumentParser(prog="python -m programs.benchmarks.metering", description=main.__doc__)
    parser.add_argument("--hours", type=int, nargs="*", default=[1_000, 10_000, 50_000], help="due hours of the runs")
    parser.add_argument("--ways", nargs="*", default=["stream", "single", "plain", "floor", "units"])
    arguments = parser.parse_args()
    with dynamodb_local.running_dynamodb_local() as server, running_simulator() as (address, process_id):
        bench = Bench(server.endpoint, address, process_id, server.process_id or os.getpid())
        bench.make_account()
        _measure_all(bench, arguments.hours, arguments.ways)


def _measure_all(bench: Bench, sizes: Sequence[int], ways: Sequence[str]) -> None:
    print(
        f"{'way':8}{'hours':>8}{'hours/s':>9}{'events/s':>10}{'ms/hour':>9}{'hours/cpu s':>13}{'peak MB':>9}"
        f"{'requests':>10}{'simulator busy':>16}{'DynamoDB busy':>15}"
    )
    runs: dict[tuple[str, int], dict[str, Any]] = {}
    for way in ("stream", "single"):
        for hours in sizes if way in ways else ():
            bench.seed(hours)
            runs[way, hours] = figures = bench.measure("run", way)
            assert figures["result"]["settled"] == hours, figures
            _show(way, hours, 2 * hours, figures)
    if "plain" in ways:
        bench.seed(PLAIN_HOURS)
        runs["plain", PLAIN_HOURS] = bench.measure("plain")
        _show("plain", PLAIN_HOURS, 2 * PLAIN_HOURS, runs["plain", PLAIN_HOURS])
    if "floor" in ways:
        path = dynamodb_local.CACHE_FOLDER / "recorded-calls.json"
        bench.seed(FLOOR_HOURS)
        recorded = bench.environment["AWS_ACCESS_KEY_ID"]
        bench.measure("record", path=str(path))
        bench.tables -= 1
        bench.environment["AWS_ACCESS_KEY_ID"] = recorded
        _drop_tables(bench)
        bench.seed(FLOOR_HOURS)
        runs["floor", FLOOR_HOURS] = bench.measure("floor", path=str(path))
        path.unlink()
        _show("floor", FLOOR_HOURS, 2 * FLOOR_HOURS, runs["floor", FLOOR_HOURS])
    if "units" in ways:
        bench.seed(PLAIN_HOURS)
        found = bench.measure("units")["result"]
        print(f"\nDynamoDB for {found['hours']} hours: calls {found['calls']}, read units {found['units']}")
        print(f"write units of an hour: {found['written']}")
    if "profile" in ways:
        bench.seed(FLOOR_HOURS)
        bench.measure("profile")
    _conclude(runs)


def _drop_tables(bench: Bench) -> None:
    client = tables.client_for(bench.endpoint)
    for name in tables.table_definitions():
        client.delete_table(TableName=name)


def _cost(figures: dict[str, Any], hours: int) -> float:
    return 1000 * float(figures["processor_seconds"]) / hours


def _show(way: str, hours: int, events: int, figures: dict[str, Any]) -> None:
    seconds, processor = figures["seconds"], figures["processor_seconds"]
    print(
        f"{way:8}{hours:8}{hours / seconds:9.0f}{events / seconds:10.0f}{_cost(figures, hours):9.3f}"
        f"{hours / processor:13.0f}{figures['peak_mb']:9.1f}{figures['requests']:10}"
        f"{figures['busy']['simulator']:16.0%}{figures['busy']['DynamoDB Local']:15.0%}",
        flush=True,
    )


def _conclude(runs: dict[tuple[str, int], dict[str, Any]]) -> None:
    costs = {key: _cost(figures, key[1]) for key, figures in runs.items()}
    sizes = sorted(hours for way, hours in runs if way == "stream")
    if not sizes:
        return
    smallest, largest = sizes[0], sizes[-1]
    print()
    if ("plain", PLAIN_HOURS) in runs:
        ratio = costs["plain", PLAIN_HOURS] / costs["stream", largest]
        print(f"hours a processor second, stream : plain              {ratio:6.1f}   (goal: at least 10)")
    if ("floor", FLOOR_HOURS) in runs and ("stream", FLOOR_HOURS) in runs:
        ratio = costs["stream", FLOOR_HOURS] / costs["floor", FLOOR_HOURS]
        print(f"processor time, stream : floor                        {ratio:6.2f}   (goal: at most 1.5)")
    ratio = costs["stream", largest] / costs["stream", smallest]
    print(f"cost an hour, {largest} : {smallest} hours {ratio:27.2f}   (goal: at most 1.2)")
    growth = runs["stream", largest]["peak_mb"] - runs["stream", smallest]["peak_mb"]
    print(f"peak memory, {largest} - {smallest} hours {growth:25.1f} MB (goal: at most 30)")
    for hours in sizes:
        wanted, made = ceil(2 * hours / 100) + 1, runs["stream", hours]["requests"]
        print(f"requests for {2 * hours} events {made:31}   (goal: {wanted})")


if __name__ == "__main__":
    main()
