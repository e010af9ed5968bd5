"""The ways to send usage that are measured, each in a process of its own; `metering.py` compares them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from programs.benchmarks.calls import Call, make, recorded
from programs.local.inline_executor import InlineExecutor

STRIPE_KEY = "sk_test_benchmark"


def measured(work: Callable[[], Any]) -> dict[str, Any]:
    """Do the work and return what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return {
        "result": result,
        "processor_seconds": time.process_time() - processor,
        "seconds": time.perf_counter() - wall,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return the most memory that this process has had resident."""
    # Not getrusage's: a process starts with what the one that forked it had.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run_all() -> dict[str, Any]:
    """Bill all due hours, once."""
    from billing import clock
    from billing.metering.invocation import process_shards
    from billing.tables.usage import SHARDS

    return process_shards(range(SHARDS), clock.utc_now()).as_dict()


def run_profiled() -> dict[str, Any]:
    """Bill all due hours under cProfile, in one thread, and print where the time goes."""
    import cProfile
    import pstats

    from billing.metering import invocation

    vars(invocation)["ThreadPoolExecutor"] = InlineExecutor
    profile = cProfile.Profile()
    summary = profile.runcall(run_all)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    return dict(summary)


def run_plainly() -> dict[str, Any]:
    """Look up the customer and create one meter event, for each organisation's hour and meter."""
    import boto3
    import stripe

    from billing.meters import METERS

    dynamodb = boto3.client("dynamodb")
    client = stripe.StripeClient(STRIPE_KEY, base_addresses={"api": os.environ["STRIPE_API_BASE"]})
    items = dynamodb.scan(TableName="UsageTable")["Items"]
    for item in items:
        hour = f"{item['organization_id']['S']}:{item['window_start']['S']}"
        for meter in METERS:
            found = dynamodb.get_item(
                TableName="SubscriptionsTable", Key={"organization_id": item["organization_id"]}, ConsistentRead=True
            )
            client.v1.billing.meter_events.create(
                {
                    "event_name": meter.event_name,
                    "identifier": f"plain:{hour}:{meter.event_name}",
                    "payload": {
                        "stripe_customer_id": found["Item"]["stripe_customer_id"]["S"],
                        "value": item[meter.event_name]["N"],
                    },
                }
            )
    return {"hours": len(items)}


def record_calls() -> list[Call]:
    """Bill all due hours and return every call made, in order."""
    with recorded() as calls:
        run_all()
    return calls


def make_calls(calls: Sequence[Call]) -> dict[str, Any]:
    """Make recorded calls again, as many at once as a run does, and those of one step before those of the next."""
    import boto3
    import requests
    from botocore.config import Config

    dynamodb: Any = boto3.client("dynamodb", config=Config(max_pool_connections=32))
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=32))

    def step(call: Call) -> str:
        return call[1][0] if call[0] == "dynamodb" else "stripe"

    with ThreadPoolExecutor(16) as executor:
        for _, group in groupby(calls, step):
            for _ in executor.map(partial(make, dynamodb, session), group):
                pass
    return {"calls": len(calls)}


def measure_units() -> dict[str, Any]:
    """Bill all due hours, and return DynamoDB's calls and the units that its reads consume."""
    units: Counter[str] = Counter()
    with recorded(units) as recorded_calls:
        summary = run_all()
    calls = Counter(arguments[0] for kind, arguments in recorded_calls if kind == "dynamodb")
    return {"calls": calls, "units": units, "hours": summary["hours"], "written": units_of_an_hours_writes()}


def units_of_an_hours_writes() -> dict[str, Any]:
    """Return the units, the index's included, of an hour's writes: the writer's, the declaration, the settlement.

    DynamoDB Local tells none for statements in PartiQL, so the same changes are made by UpdateItem here.
    """
    from billing.tables.table import client

    totals = {"M": {"active_sensors": {"N": "3"}, "temperature_readings": {"N": "120"}}}
    now, customer = {"S": "2026-11-23T09:05:00Z"}, {"S": "cus_00000000000000"}
    writes: dict[str, tuple[str, Any]] = {
        "count": (
            "SET due_shard = :s, due_at = :t ADD temperature_readings :one",
            {":s": {"N": "3"}, ":t": now, ":one": {"N": "1"}},
        ),
        "declare": (
            "SET sending = :m, sending_since = :t, revision = :r, reported_to = :c",
            {":m": totals, ":t": now, ":r": {"N": "1"}, ":c": customer},
        ),
        "settle": (
            "SET reported = :m, reported_at = :t REMOVE sending, sending_since, due_shard, due_at",
            {":m": totals, ":t": now},
        ),
    }
    found = {}
    for name, (expression, values) in writes.items():
        response: Any = client().update_item(
            TableName="UsageTable",
            Key={"organization_id": {"S": "units"}, "window_start": {"S": "2026-11-23T08:00:00Z"}},
            UpdateExpression=expression,
            ExpressionAttributeValues=values,
            ReturnConsumedCapacity="TOTAL",
        )
        found[name] = response["ConsumedCapacity"]["CapacityUnits"]
    return found


def child(way: str, path: str) -> None:
    """Measure one way and print it as JSON."""
    import billing.metering.invocation

    if way == "record":
        Path(path).write_text(json.dumps(record_calls()))
        print(json.dumps({}))
        return
    if way == "floor":
        calls = json.loads(Path(path).read_text())
        print(json.dumps(measured(lambda: make_calls(calls))))
        return
    ways: dict[str, Callable[[], Any]] = {
        "run": run_all,
        "profile": run_profiled,
        "plain": run_plainly,
        "units": measure_units,
    }
    # What the first use makes (clients, connections) is part of every run; what an import costs is not.
    assert billing.metering.invocation
    print(json.dumps(measured(ways[way])))


if __name__ == "__main__":
    child(*sys.argv[1:3])
