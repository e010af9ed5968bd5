"""Measure what it takes to close many billing periods that end at once; `make bench-closing`.

The organisations' periods end in the same second, as on the first of a month. Measured are, one after the other, the
webhooks of all drafts, the look that the hourly run takes at all of them, and the webhooks of all final invoices: each
in this process, one event after the other; DynamoDB Local and the Stripe simulator run in theirs. *Floor* are the same
calls to both, recorded and made again on tables of the same content, with nothing between.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from programs.benchmarks.calls import READS, Call, make, recorded
from programs.benchmarks.metering import running_simulator
from programs.benchmarks.metering_ways import STRIPE_KEY
from programs.benchmarks.webhook import http_event, silence
from programs.benchmarks.webhook_ways import SECRET
from programs.local import dynamodb_local, tables
from stripe_simulator import SimulatorClient

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
READINGS, SENSORS = "temperature_readings", "active_sensors"
# Tables of the same content, which DynamoDB Local keeps apart by the access key.
MEASURED, FLOOR = "closing", "closingfloor"


@dataclass
class Phase:
    """What one phase took: seconds of this process's processor and of the clock, and its calls."""

    name: str
    processor: float
    seconds: float
    calls: list[Call]


class Bench:
    """Organisations of which each used something in `hours` hours of a period that is about to end."""

    def __init__(self, base_url: str, endpoint: str) -> None:
        import stripe

        from billing import clock
        from functions.stripe_webhook import app

        self.app, self.endpoint = app, endpoint
        self.control = SimulatorClient(base_url, timeout_seconds=600)
        self.stripe = stripe.StripeClient(STRIPE_KEY, base_addresses={"api": base_url, "meter_events": base_url})
        self.now = START
        clock.utc_now = lambda: self.now
        self._go_to(START)
        self.control.add_destination("http://localhost/stripe/webhook", secret=SECRET)
        self.prices = [self._price("Active sensors", SENSORS, "last"), self._price("Readings", READINGS, "sum")]

    def _go_to(self, moment: datetime) -> None:
        self.now = moment
        self.control.set_clock(moment.timestamp())

    def _price(self, name: str, event_name: str, formula: Any) -> str:
        meter = self.stripe.v1.billing.meters.create(
            {
                "display_name": name,
                "event_name": event_name,
                "event_time_window": "hour",
                "default_aggregation": {"formula": formula},
            }
        )
        product = self.stripe.v1.products.create({"name": name})
        recurring: Any = {"interval": "month", "usage_type": "metered", "meter": meter.id}
        price = self.stripe.v1.prices.create(
            {"product": product.id, "currency": "eur", "unit_amount": 1, "recurring": recurring}
        )
        return price.id

    def seed(self, organizations: int, hours: int) -> None:
        """Subscribe organisations at the same moment, tell Stripe what they use, and write both sets of tables."""
        names = [f"organization-{number:05}" for number in range(organizations)]
        with ThreadPoolExecutor(4) as executor:
            subscriptions = list(executor.map(lambda name: self._subscribe(name, hours), names))
        self.control.take_deliveries()
        for namespace in (MEASURED, FLOOR):
            client = _client(self.endpoint, namespace)
            tables.create_tables(client)
            _write(client, "SubscriptionsTable", [_record(*each) for each in subscriptions])
            _write(client, "UsageTable", itertools.chain.from_iterable(_hours(*each, hours) for each in subscriptions))
        os.environ["AWS_ACCESS_KEY_ID"] = MEASURED

    def _subscribe(self, name: str, hours: int) -> tuple[str, str, str]:
        customer = self.stripe.v1.customers.create({})
        subscription = self.stripe.v1.subscriptions.create(
            {
                "customer": customer.id,
                "items": [{"price": price} for price in self.prices],
                "metadata": {"organization_id": name},
            }
        )
        for event_name, value in ((SENSORS, 3), (READINGS, hours)):
            self.stripe.v1.billing.meter_events.create(
                {"event_name": event_name, "payload": {"stripe_customer_id": customer.id, "value": str(value)}}
            )
        return name, customer.id, subscription.id

    def phases(self) -> Iterator[tuple[str, int, Callable[[], Any]]]:
        """Yield what happens when all periods have ended: its name, how many events it has, and the work."""
        from billing.invoices.drafts import look_at_drafts
        from billing.stripe_gateway.calls import stripe_gateway
        from billing.tables.usage import SHARDS

        self._go_to(END)
        created = self._events("invoice.created")
        self._go_to(END + timedelta(minutes=2))
        yield "drafts", len(created), lambda: self._handle(created)
        self._go_to(END + timedelta(minutes=65))
        yield (
            "look",
            len(created),
            lambda: look_at_drafts(range(SHARDS), stripe_gateway(), self.now, lambda: True),
        )
        self._go_to(END + timedelta(minutes=91))
        final = self._events("invoice.finalized")
        yield "final", len(final), lambda: self._handle(final)

    def _events(self, event_type: str) -> list[bytes]:
        return [delivery["body"].encode() for delivery in self.control.take_deliveries(event_type)]

    def _handle(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            response = self.app.handler(http_event(body), None)
            assert response["statusCode"] == 200, response

    def check(self, organizations: int, hours: int) -> None:
        """See that every period is closed with what was counted."""
        from billing.invoices.storage import read_periods

        for number in range(organizations):
            (period,) = read_periods(f"organization-{number:05}")
            assert (period.state, dict(period.told)) == ("closed", {}), period
            assert period.counted[READINGS] == period.invoiced(READINGS) == hours, period


def _record(name: str, customer_id: str, subscription_id: str) -> dict[str, Any]:
    from billing.clock import format_time
    from billing.metered_subscriptions import MeteredSubscription, to_text

    subscription = MeteredSubscription(subscription_id, customer_id, START, None, (SENSORS, READINGS), (START, END))
    return {
        "organization_id": {"S": name},
        "stripe_customer_id": {"S": customer_id},
        "stripe_subscription_id": {"S": subscription_id},
        "status": {"S": "active"},
        "started_at": {"S": format_time(START)},
        "metered_subscriptions": {"S": to_text([subscription])},
        "version": {"N": "1"},
    }


def _hours(name: str, customer_id: str, _: str, hours: int) -> Iterator[dict[str, Any]]:
    """Yield the last hours of the period, as a run leaves them: each with a reading and three sensors, and sent."""
    from billing.clock import format_time

    totals = {"M": {SENSORS: {"N": "3"}, READINGS: {"N": "1"}}}
    for back in range(1, hours + 1):
        start = END - timedelta(hours=back)
        yield {
            "organization_id": {"S": name},
            "window_start": {"S": format_time(start)},
            SENSORS: {"N": "3"},
            READINGS: {"N": "1"},
            "active_sensors_at": {"S": format_time(start + timedelta(minutes=59))},
            "reported": totals,
            "reported_under": {"M": {SENSORS: {"N": "1"}, READINGS: {"N": "1"}}},
            "reported_at": {"S": format_time(start + timedelta(minutes=65))},
            "reported_to": {"S": customer_id},
            "revision": {"N": "1"},
            "version": {"N": "2"},
        }


def _write(client: Any, table: str, items: Iterable[dict[str, Any]]) -> None:
    remaining = iter(items)
    parts = iter(lambda: list(itertools.islice(remaining, 25)), [])

    def write(part: list[dict[str, Any]]) -> None:
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}} for item in part]})

    with ThreadPoolExecutor(4) as executor:
        while group := list(itertools.islice(parts, 400)):
            list(executor.map(write, group))


def _client(endpoint: str, namespace: str) -> Any:
    os.environ["AWS_ACCESS_KEY_ID"] = namespace
    return tables.client_for(endpoint)


def make_again(dynamodb: Any, calls: Iterable[Call]) -> None:
    """Make recorded calls again, one after the other."""
    import requests

    session = requests.Session()
    for call in calls:
        make(dynamodb, session, call)


def timed(name: str, work: Callable[[], Any], calls: list[Call]) -> Phase:
    """Do the work and return what it took."""
    seconds, processor = time.perf_counter(), time.process_time()
    with silence():
        work()
    return Phase(name, time.process_time() - processor, time.perf_counter() - seconds, calls)


def measure(bench: Bench, organizations: int, hours: int, *, units: bool) -> None:
    """Close the periods, and print what each phase took; with `units` what DynamoDB bills instead."""
    bench.seed(organizations, hours)
    for name, events, work in bench.phases():
        consumed: Counter[str] = Counter()
        with recorded(consumed if units else None) as calls:
            phase = timed(name, work, calls)
        assert events == organizations, (name, events)
        kinds = Counter(kind for kind, _ in calls)
        each = {kind: round(kinds[kind] / events, 2) for kind in ("stripe", "dynamodb")}
        if units:
            read = sum(number for call, number in consumed.items() if call.split()[0] in READS)
            each |= {"read": round(read / events, 2), "write": round((consumed.total() - read) / events, 2)}
            print(f"| {name} | {hours} | {' | '.join(f'{number:g}' for number in each.values())} |", flush=True)
            continue
        floor = timed(name, partial(make_again, _client(bench.endpoint, FLOOR), calls), calls)
        milliseconds = [1000 * figure / events for figure in (phase.processor, phase.seconds, floor.processor)]
        figures = " | ".join(f"{number:.2f}" for number in (*milliseconds, milliseconds[0] / milliseconds[2]))
        print(f"| {name} | {events} | {each['stripe']:g} | {each['dynamodb']:g} | {figures} |", flush=True)
    bench.check(organizations, hours)


def main() -> None:
    """Measure and print the tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m programs.benchmarks.closing", description=main.__doc__)
    parser.add_argument("--organizations", type=int, default=10_000)
    arguments = parser.parse_args()
    for organizations, hours, units in ((100, 720, True), (arguments.organizations, 12, False)):
        with dynamodb_local.running_dynamodb_local() as server, running_simulator() as (base_url, _):
            _set_environment(base_url, server.endpoint)
            if units:
                print("| phase | hours of the period | Stripe calls | DynamoDB calls | read units | write units |")
                print("|---|---|---|---|---|---|")
            else:
                print("\n| phase | periods | Stripe calls | DynamoDB calls | processor ms | ms | floor's | ratio |")
                print("|---|---|---|---|---|---|---|---|")
            measure(Bench(base_url, server.endpoint), organizations, hours, units=units)


def _set_environment(base_url: str, endpoint: str) -> None:
    from billing.stripe_gateway.calls import stripe_gateway
    from billing.stripe_secrets import secrets_reader
    from billing.tables import table

    os.environ.update(
        AWS_ACCESS_KEY_ID=MEASURED,
        AWS_SECRET_ACCESS_KEY="benchmark",
        AWS_DEFAULT_REGION="eu-central-1",
        AWS_ENDPOINT_URL_DYNAMODB=endpoint,
        POWERTOOLS_SERVICE_NAME="webhook",
        STRIPE_API_BASE=base_url,
        STRIPE_METER_EVENTS_BASE=base_url,
        STRIPE_SECRET_KEY=STRIPE_KEY,
        STRIPE_WEBHOOK_SECRETS=SECRET,
    )
    for cached in (stripe_gateway, secrets_reader, table._connection):
        cached.cache_clear()


if __name__ == "__main__":
    main()
