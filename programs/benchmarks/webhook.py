"""Measure a warm webhook beside others that refresh the same subscription; `make bench-webhook`.

All run in this process, in turn for every event, against DynamoDB Local and the Stripe simulator, each a process
of its own on loopback:

    this handler      functions/stripe_webhook, as deployed
    … without claims  the same, not telling others that it is about to fetch
    Powertools        the same refresh as an `idempotent_function`, with its DynamoDB store
    look up first     the plain order: look the event up, refresh, record it
    floor             the least code that verifies the HMAC and makes this handler's calls: one botocore client, one
                      HTTP connection, no log and no metrics

Only the way to "once" differs between all but the floor: request, signature, fetch, log and metrics are the same code.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from programs.benchmarks.webhook_ways import (
    IDEMPOTENCY_TABLE,
    SECRET,
    Floor,
    look_up_first,
    powertools_deliver,
    without_claims,
)
from programs.local import dynamodb_local, tables
from stripe_simulator import SimulatorClient, sign

READS = ("GetItem", "BatchGetItem", "Query")
Handler = Callable[[dict[str, Any]], int]


@dataclass
class Measured:
    """Hold what one kind of event cost one variant: milliseconds of each event, and the counts of an average one."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    calls: float = 0
    read_units: float = 0
    write_units: float = 0
    stripe_calls: float = 0


def main() -> None:
    """Measure and print the tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m programs.benchmarks.webhook", description=main.__doc__)
    parser.add_argument("--events", type=int, default=600, help="new events of each variant, and as many duplicates")
    arguments = parser.parse_args()
    with running() as bench:
        bench.count(20)
        for batch in range(arguments.events // 50):
            bench.time(50, warm_up=batch == 0)
        races = {name: bench.race(name, 40, 25) for name in ("this handler", "Powertools", "look up first")}
        bench.print_tables(arguments.events, races)


@contextlib.contextmanager
def running() -> Iterator[Bench]:
    """Start the servers, and subscribe one organisation for each variant."""
    os.environ.update(
        AWS_ACCESS_KEY_ID="benchmark",
        AWS_SECRET_ACCESS_KEY="benchmark",
        AWS_DEFAULT_REGION="eu-central-1",
        AWS_REGION="eu-central-1",
        POWERTOOLS_SERVICE_NAME="webhook",
        STRIPE_SECRET_KEY="sk_test_benchmark",
        STRIPE_WEBHOOK_SECRETS=SECRET,
    )
    command = [sys.executable, "-m", "stripe_simulator", "--port", "0", "--log-limit", "0"]
    with (
        dynamodb_local.running_dynamodb_local() as database,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator,
    ):
        assert simulator.stdout is not None
        base_url = simulator.stdout.readline().split()[-1]
        os.environ.update(
            AWS_ENDPOINT_URL_DYNAMODB=database.endpoint, STRIPE_API_BASE=base_url, STRIPE_METER_EVENTS_BASE=base_url
        )
        client = tables.client_for(database.endpoint)
        tables.create_tables(client)
        client.create_table(
            TableName=IDEMPOTENCY_TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        try:
            yield Bench(base_url)
        finally:
            simulator.terminate()


class Bench:
    """Make events of each variant's subscription, and have them handled."""

    def __init__(self, base_url: str) -> None:
        import stripe

        from functions.stripe_webhook import app

        self.app = vars(app)
        self.control = SimulatorClient(base_url)
        self.stripe = stripe.StripeClient("sk_test_benchmark", base_addresses={"api": base_url})
        self.handlers: dict[str, Handler] = {
            "this handler": self._through(self.app["deliver"]),
            "… without claims": self._through(without_claims(self.app["deliver"])),
            "Powertools": self._through(powertools_deliver()),
            "look up first": self._through(look_up_first),
            "floor": Floor(base_url).handle,
        }
        self.measured: dict[tuple[str, str], Measured] = defaultdict(Measured)
        self.control.add_destination("http://localhost/stripe/webhook", secret=SECRET)
        price_id = self._metered_price()
        self.subscriptions: dict[str, str] = {}
        for name in self.handlers:
            customer = self.stripe.v1.customers.create({})
            subscription = self.stripe.v1.subscriptions.create(
                {
                    "customer": customer.id,
                    "items": [{"price": price_id}],
                    "metadata": {"organization_id": name.strip("… ")},
                }
            )
            self.subscriptions[name] = subscription.id
            created = self.control.take_deliveries("customer.subscription.created")[0]
            # The first event is this handler's for all of them: each starts from the same record.
            assert self.handlers["this handler"](http_event(created["body"].encode())) == 200
        self.control.take_deliveries()

    def _metered_price(self) -> str:
        product = self.stripe.v1.products.create({"name": "Sensor monitoring"})
        meter = self.stripe.v1.billing.meters.create(
            {
                "display_name": "Readings",
                "event_name": "temperature_readings",
                "event_time_window": "hour",
                "default_aggregation": {"formula": "sum"},
            }
        )
        recurring: Any = {"interval": "month", "usage_type": "metered", "meter": meter.id}
        price = self.stripe.v1.prices.create(
            {"product": product.id, "currency": "eur", "unit_amount": 100, "recurring": recurring}
        )
        return price.id

    def _through(self, deliver: Callable[..., Any]) -> Handler:
        def handle(event: dict[str, Any]) -> int:
            self.app["deliver"] = deliver
            return int(self.app["handler"](event, None)["statusCode"])

        return handle

    def events(self, name: str, how_many: int) -> list[dict[str, Any]]:
        """Change a variant's subscription so many times; return the requests that tell of it."""
        for _ in range(how_many):
            self.stripe.v1.subscriptions.update(self.subscriptions[name], {"description": str(time.time_ns())})
        deliveries = self.control.take_deliveries("customer.subscription.updated")
        return [http_event(delivery["body"].encode()) for delivery in deliveries]

    def time(self, how_many: int, *, warm_up: bool) -> None:
        """Time new events and their duplicates, all variants in turn, in an order that goes round."""
        requests = {name: self.events(name, how_many) for name in self.handlers}
        names = list(self.handlers)
        for kind in ("new", "duplicate"):
            for number in range(how_many):
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    measured, handle = self.measured[name, kind], self.handlers[name]
                    with silence():
                        wall, processor = time.perf_counter(), time.process_time()
                        status = handle(requests[name][number])
                        wall, processor = time.perf_counter() - wall, time.process_time() - processor
                    assert status == 200, name
                    if not (warm_up and number < 25):
                        measured.wall.append(wall * 1000)
                        measured.processor.append(processor * 1000)

    def count(self, how_many: int) -> None:
        """Count calls and capacity units, in a pass of its own that is not timed."""
        from botocore.client import BaseClient

        real = BaseClient._make_api_call  # type: ignore[attr-defined]
        counted: Counter[str] = Counter()

        def make_api_call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            units = "read" if operation in READS else "write"
            counted["calls"] += 1
            try:
                response = real(client, operation, {**parameters, "ReturnConsumedCapacity": "TOTAL"})
            except client.exceptions.ConditionalCheckFailedException:
                # DynamoDB bills a write whose condition fails, and does not say how much: one unit up to 1 KB.
                counted[units] += 1
                raise
            used = response.get("ConsumedCapacity", [])
            counted[units] += sum(each["CapacityUnits"] for each in (used if isinstance(used, list) else [used]))
            return response

        BaseClient._make_api_call = make_api_call  # type: ignore[attr-defined]
        try:
            for name, handle in self.handlers.items():
                requests = self.events(name, how_many)
                for kind in ("new", "duplicate"):
                    counted.clear()
                    asked = self.control.state()["requests"]["total"]
                    for request in requests:
                        with silence():
                            assert handle(request) == 200, name
                    measured = self.measured[name, kind]
                    measured.calls = counted["calls"] / how_many
                    measured.read_units, measured.write_units = counted["read"] / how_many, counted["write"] / how_many
                    measured.stripe_calls = (self.control.state()["requests"]["total"] - asked) / how_many
        finally:
            BaseClient._make_api_call = real  # type: ignore[attr-defined]

    def race(self, name: str, how_many: int, racers: int) -> tuple[int, Counter[int]]:
        """Deliver events each `racers` times at the same moment; return the effects too many, and the answers."""
        from billing.tables.subscriptions import SubscriptionRecord

        handle, start = self.handlers[name], threading.Barrier(racers)
        too_many, responses = 0, Counter[int]()

        def race(request: dict[str, Any]) -> int:
            start.wait()
            return handle(request)

        with ThreadPoolExecutor(racers) as threads, silence():
            for request in self.events(name, how_many):
                before = SubscriptionRecord.of(name, consistent=True)
                responses.update(threads.map(race, [request] * racers))
                after = SubscriptionRecord.of(name, consistent=True)
                assert before is not None
                assert after is not None
                too_many += int(after.version) - int(before.version) - 1
        return too_many, responses

    def print_tables(self, how_many: int, races: dict[str, tuple[int, Counter[int]]]) -> None:
        """Print everything as Markdown."""
        print(f"{how_many} events of each kind, {os.cpu_count()} cores, {platform.machine()}, ", end="")
        print(f"{platform.python_implementation()} {platform.python_version()}\n")
        for kind, title in (("new", "New events"), ("duplicate", "Duplicates")):
            floor = statistics.median(self.measured["floor", kind].wall)
            print(
                f"| {title} | median ms | p99 ms | of the floor | processor ms | DynamoDB calls | read units |", end=""
            )
            print(" write units | Stripe calls |\n|---|---|---|---|---|---|---|---|---|")
            for name in self.handlers:
                each = self.measured[name, kind]
                median, p99 = statistics.median(each.wall), statistics.quantiles(each.wall, n=100)[98]
                print(
                    f"| {name} | {median:.2f} | {p99:.2f} | {median / floor:.2f} "
                    f"| {statistics.median(each.processor):.2f} | {each.calls:g} | {each.read_units:g} "
                    f"| {each.write_units:g} | {each.stripe_calls:g} |"
                )
            print()
        print("| 1,000 racing duplicates: 40 events, 25 at once | let through twice | responded 200 | responded 500 |")
        print("|---|---|---|---|")
        for name, (too_many, responses) in races.items():
            print(f"| {name} | {too_many} | {responses[200]} | {responses[500]} |")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let the log and the metrics be written, to nowhere."""
    from billing.telemetry import logger

    nowhere = io.StringIO()
    handler: Any = logger.registered_handler
    before = handler.setStream(nowhere)
    try:
        with contextlib.redirect_stdout(nowhere):
            yield
    finally:
        if before is not None:
            handler.setStream(before)


def http_event(body: bytes) -> dict[str, Any]:
    """Return the API Gateway event of a signed request."""
    return {"body": body.decode(), "headers": {"stripe-signature": sign(body, SECRET)}, "isBase64Encoded": False}


if __name__ == "__main__":
    main()
