"""What the functions call on this machine: DynamoDB Local, SQS, an event bus, and Stripe with a subscription.

The simulator's ids are those of the files in events/ (`cus_local`, `sub_local`, …).
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from billing import clock, record_active_sensors, record_readings
from programs.local import dynamodb_local, tables
from programs.local.event_bus import LocalBus, running_bus
from programs.local.queues import LocalQueues, running_queues
from programs.local.stack import SNAPSHOT_SECRET, THIN_SECRET, Stack, TimeLimit, running_stack
from programs.local.streams import StreamPump
from stripe_simulator import Simulator, running_simulator

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
LOCAL_ENVIRONMENT = EVENTS / "local-env.json"
DYNAMODB_PORT, STRIPE_PORT, SQS_PORT, BUS_PORT, API_PORT = 8000, 12111, 9324, 12112, 3000
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104  # a container reaches nothing that listens on this machine's localhost only
ORGANIZATION = "org-local"
READINGS, SENSORS = 1440, 12
IDS = {
    "cus": ["cus_local"],
    "sub": ["sub_local"],
    "mtr_test": ["mtr_test_local_sensors", "mtr_test_local_readings"],
    "price": ["price_local_sensors", "price_local_readings"],
}
REPORT_IDS = {"evt_test": ["evt_local_report", "evt_local_no_meter"]}


@dataclass(frozen=True)
class Ports:
    """Where the servers listen; 0 (and for DynamoDB Local None) is a free one."""

    dynamodb: int | None = None
    stripe: int = 0
    sqs: int = 0
    bus: int = 0


@dataclass(frozen=True)
class LocalServers:
    """The running servers."""

    simulator: Simulator
    stack: Stack
    dynamodb_endpoint: str
    queues: LocalQueues
    bus: LocalBus
    streams: StreamPump

    def environment(self) -> dict[str, dict[str, str]]:
        """Return what `--env-vars` takes, with these servers' ports."""
        text = LOCAL_ENVIRONMENT.read_text(encoding="utf-8")
        for documented, endpoint in (
            (DYNAMODB_PORT, self.dynamodb_endpoint),
            (STRIPE_PORT, self.simulator.base_url),
            (SQS_PORT, self.queues.endpoint),
            (BUS_PORT, self.bus.endpoint),
        ):
            text = text.replace(f":{documented}", f":{endpoint.rpartition(':')[2]}")
        environment: dict[str, dict[str, str]] = json.loads(text)
        return environment


@contextlib.contextmanager
def running_servers(ports: Ports | None = None, host: str = ALL_ADDRESSES) -> Iterator[LocalServers]:
    """Run the servers, with queues, tables, meters and a subscribed organisation: one hour billed, one due.

    DynamoDB Local listens on all addresses whatever `host` is: it knows no setting for it.
    """
    ports = ports or Ports()
    with (
        dynamodb_local.running_dynamodb_local(ports.dynamodb, shared=True) as server,
        running_simulator(host=host, port=ports.stripe) as simulator,
        running_queues(host, ports.sqs) as queues,
        running_bus(host, ports.bus) as bus,
        _local_environment(queues, bus),
    ):
        client = tables.client_for(server.endpoint)
        tables.create_tables(client)
        tables.empty_tables(client)
        with running_stack(simulator, server.endpoint, start=clock.utc_now() - timedelta(hours=3)) as stack:
            with _quiet():
                make_subscribed_organization(stack)
                # One hour that was billed a while ago, for the reconciliation, and one that is due.
                stack.meter()
                stack.advance(hours=3)
                record_hour()
            # From here on with real time, which signatures are compared with.
            simulator.clock.run()
            streams = StreamPump(client, lambda event: stack.events_app.handler(event, TimeLimit()))
            with contextlib.closing(streams):
                yield LocalServers(simulator, stack, server.endpoint, queues, bus, streams)


def make_subscribed_organization(stack: Stack) -> None:
    """Give the account meters and a subscription, and the tables what follows from it and an hour of usage."""
    account, now = stack.simulator.account, clock.utc_now()
    # `running_stack` has made meters already, with random ids.
    stack.simulator.reset()
    stack.simulator.clock.set(now)
    with account.chosen_ids(IDS):
        stack.make_meters()
        stack.add_destinations()
        stack.subscribe(ORGANIZATION, at=clock.hour_of(now) - clock.HOUR)
    failed = [response for response in stack.deliver_all() if response.status != 200]
    assert not failed, f"the webhook's handler returned {failed[0]}"
    record_hour()
    with account.chosen_ids(REPORT_IDS):
        meter_id = account.meters.by_name["temperature_readings"]["id"]
        account.error_reports.trigger(meter_id, "meter_event_customer_not_found", ["made-up:identifier"])
        account.error_reports.trigger(None, "no_meter", ["made-up:identifier"])
    stack.simulator.webhooks.take()


def record_hour() -> None:
    """Record usage of the hour before the present one."""
    hour = clock.hour_of(clock.utc_now()) - timedelta(hours=1)
    record_readings(ORGANIZATION, READINGS, hour)
    record_active_sensors(ORGANIZATION, SENSORS, hour)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Print nothing of what the handlers log while the account is set up."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def _local_environment(queues: LocalQueues, bus: LocalBus) -> Iterator[None]:
    """Point the code at the queues and the bus, and give it a region and credentials where there are none."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    missing = [name for name in names if not os.environ.get(name)]
    addresses = {
        "AWS_ENDPOINT_URL_SQS": queues.endpoint,
        "AWS_ENDPOINT_URL_EVENTBRIDGE": bus.endpoint,
        "USAGE_DEAD_LETTER_QUEUE_URL": queues.dead_letter_url,
    }
    os.environ.update(dict.fromkeys(missing, "local") | {"AWS_DEFAULT_REGION": "eu-central-1"} | addresses)
    try:
        yield
    finally:
        for name in (*missing, *addresses):
            os.environ.pop(name, None)


def event_body(path: Path, created: int) -> bytes:
    """Return the body of a Stripe event file, as Stripe would send it at that time (Unix seconds)."""
    event: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    event["created"] = created if event["object"] == "event" else clock.format_time(clock.from_unix(created))
    return json.dumps(event, ensure_ascii=False).encode()


def secret_of(body: bytes) -> str:
    """Return the signing secret of the destination that an event goes to: thin events have one of their own."""
    return THIN_SECRET if json.loads(body)["object"] == "v2.core.event" else SNAPSHOT_SECRET
