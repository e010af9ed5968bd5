"""Serve what functions under `sam local` call: DynamoDB Local, SQS, an event bus, and Stripe with a subscription.

    make local          # python -m programs.local.servers; the ports are those of events/local-env.json

They listen on all addresses, since in a container localhost is the container. The simulator's ids are those of the
files in events/ (`cus_local`, `sub_local`, …).
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from billing import clock, record_active_sensors, record_readings
from programs.local import dynamodb_local, tables
from programs.local.event_bus import LocalBus, running_bus
from programs.local.queues import LocalQueues, consuming, running_queues
from programs.local.stack import SNAPSHOT_SECRET, THIN_SECRET, Stack, TimeLimit, running_stack
from programs.local.streams import StreamPump
from stripe_simulator import Simulator, running_simulator

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
LOCAL_ENVIRONMENT = EVENTS / "local-env.json"
DYNAMODB_PORT, STRIPE_PORT, SQS_PORT, BUS_PORT = 8000, 12111, 9324, 12112
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
            (BUS_PORT, f":{self.bus.port}"),
        ):
            text = text.replace(f":{documented}", f":{endpoint.rpartition(':')[2]}")
        environment: dict[str, dict[str, str]] = json.loads(text)
        return environment


@contextlib.contextmanager
def running_servers(
    dynamodb_port: int | None = None, stripe_port: int = 0, sqs_port: int = 0, bus_port: int = 0
) -> Iterator[LocalServers]:
    """Run the servers, with queues, tables, meters and a subscribed organisation: one hour billed, one due."""
    with (
        dynamodb_local.running_dynamodb_local(dynamodb_port, shared=True) as server,
        running_simulator(host=ALL_ADDRESSES, port=stripe_port) as simulator,
        running_queues(ALL_ADDRESSES, sqs_port) as queues,
        running_bus(ALL_ADDRESSES, bus_port) as bus,
        _local_environment(queues),
    ):
        dynamodb = tables.client_for(server.endpoint)
        tables.create_tables(dynamodb)
        with _quiet(), running_stack(simulator, server.endpoint, start=clock.utc_now() - timedelta(hours=3)) as stack:
            make_subscribed_organization(stack)
            # One hour that was billed a while ago, for the reconciliation, and one that is due.
            stack.meter()
            stack.advance(hours=3)
            record_hour()
        # From here on with real time, which signatures are compared with.
        simulator.clock.run()
        streams = StreamPump(dynamodb, lambda event: stack.events_app.handler(event, TimeLimit()))
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
def _local_environment(queues: LocalQueues) -> Iterator[None]:
    """Point the code at the queues, and give it a region and credentials where there are none."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    missing = [name for name in names if not os.environ.get(name)]
    local = dict.fromkeys(missing, "local") | {"AWS_DEFAULT_REGION": "eu-central-1"}
    os.environ.update(
        local | {"AWS_ENDPOINT_URL_SQS": queues.endpoint, "USAGE_DEAD_LETTER_QUEUE_URL": queues.dead_letter_url}
    )
    try:
        yield
    finally:
        for name in (*missing, "AWS_ENDPOINT_URL_SQS", "USAGE_DEAD_LETTER_QUEUE_URL"):
            os.environ.pop(name, None)


def event_body(path: Path, created: int) -> bytes:
    """Return the body of a Stripe event file, as Stripe would send it at that time (Unix seconds)."""
    event: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    event["created"] = created if event["object"] == "event" else clock.format_time(clock.from_unix(created))
    return json.dumps(event, ensure_ascii=False).encode()


def secret_of(body: bytes) -> str:
    """Return the signing secret of the destination that an event goes to: thin events have one of their own."""
    return THIN_SECRET if json.loads(body)["object"] == "v2.core.event" else SNAPSHOT_SECRET


INSTRUCTIONS = """\
DynamoDB Local    {dynamodb}   with the stack's tables
Stripe simulator  {stripe}  with meters; {organization} has subscribed
                                          and used the past hour
SQS               {sqs}   with the usage queue: what is
                                          sent there is counted here
Event bus         {bus}   what the product hears is below

In another terminal, with .venv/bin on the PATH, send usage, and look at it:

  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local \\
    AWS_DEFAULT_REGION=eu-central-1 AWS_ENDPOINT_URL_SQS={sqs} \\
    AWS_ENDPOINT_URL_DYNAMODB={dynamodb} \\
    USAGE_QUEUE_URL={usage_queue} \\
    USAGE_DEAD_LETTER_QUEUE_URL={dead_letter_queue}
  PYTHONPATH=layers/billing python -c 'import datetime, os
  from billing import Usage, UsageEvents
  now = datetime.datetime.now(datetime.UTC)
  events = UsageEvents(os.environ["USAGE_QUEUE_URL"], source="me")
  events.send(Usage("{organization}", "temperature_readings", 12, now))'
  ./operate usage {organization}
  ./operate rejected

After `make build`:

  make invoke-webhook EVENT=events/stripe/customer_subscription_updated.json
  make invoke-ingestion EVENT=events/usage_ingestion/list.json

  invoke() {{ sam local invoke "$@" --env-vars events/local-env.json \\
    --add-host host.docker.internal:host-gateway; }}
  invoke UsageMeteringFunction -e events/usage_metering/scheduled.json
  invoke UsageMeteringWorkerFunction -e events/usage_metering/shard_message.json
  invoke UsageReconciliationFunction \\
    -e events/usage_reconciliation/scheduled.json
  invoke BillingEventsFunction \\
    -e events/billing_events/subscription_past_due.json
  invoke BillingApiFunction -e events/billing_api/get_usage.json

  sam local start-api --env-vars events/local-env.json \\
    --add-host host.docker.internal:host-gateway --warm-containers EAGER
  curl http://127.0.0.1:3000/organizations/{organization}/usage

Where no registry is reached, add --skip-pull-image. Ctrl-C ends the servers.

What the product hears on the bus:
"""


def main() -> int:
    """Serve on the ports of events/local-env.json until interrupted; return 1 where a port is in use."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ports = DYNAMODB_PORT, STRIPE_PORT, SQS_PORT, BUS_PORT
    busy = [port for port in ports if _is_in_use(port)]
    if busy:
        print(f"In use already: port {' and port '.join(map(str, busy))}. Is `make local` running?", file=sys.stderr)
        return 1
    with (
        contextlib.suppress(KeyboardInterrupt),
        running_servers(*ports) as servers,
        consuming(servers.queues, servers.stack.ingest),
    ):
        print(instructions(servers), flush=True)
        tell_for_ever(servers)
    return 0


def instructions(servers: LocalServers) -> str:
    """Return what to do with the servers."""
    return INSTRUCTIONS.format(
        dynamodb=servers.dynamodb_endpoint,
        stripe=servers.simulator.base_url,
        sqs=servers.queues.endpoint,
        bus=f"http://127.0.0.1:{servers.bus.port}",
        usage_queue=servers.queues.usage_url,
        dead_letter_queue=servers.queues.dead_letter_url,
        organization=ORGANIZATION,
    )


def tell_for_ever(servers: LocalServers) -> None:
    """Print a line for each event on the bus: what the tables' streams tell, and what `sam local invoke` puts there."""
    os.environ["AWS_ENDPOINT_URL_EVENTBRIDGE"] = f"http://127.0.0.1:{servers.bus.port}"
    # Not among what the functions log, which nobody reads here.
    servers.bus.listeners.append(lambda event: print(in_a_line(event), file=sys.__stdout__, flush=True))
    while True:
        with contextlib.redirect_stdout(io.StringIO()):
            servers.streams.run()
        time.sleep(1)


def in_a_line(event: dict[str, Any]) -> str:
    """Return an event as a reader sees it: whose, which, and what is so now."""
    detail = event["detail"]
    after = detail.get("after") or {}
    words = [after.get("status"), after.get("access"), after.get("reason"), after.get("until"), detail.get("reason")]
    said = " ".join(word for word in words if word)
    return f"  {detail['organization_id']}  {event['detail-type']}  {said}".rstrip()[:80]


def _is_in_use(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ALL_ADDRESSES, port))
        except OSError:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
