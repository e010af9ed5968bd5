"""The product of the demo: it listens on the bus, and tells what it has heard."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from billing.billing_events import bus as bus_module
from programs.local import tables
from programs.local.event_bus import LocalBus, running_bus
from programs.local.stack import Stack, TimeLimit
from programs.local.streams import StreamPump


class Product:
    """A listener on the bus; `listen` lets the tables' streams be told."""

    def __init__(self, pump: StreamPump, bus: LocalBus) -> None:
        self.pump, self.bus = pump, bus

    def listen(self) -> None:
        """Have everything told that has changed since."""
        self.pump.run()

    def say_heard(self, say: Callable[[str], None]) -> None:
        """Say what was heard, organisation by organisation; each event once, by its id."""
        heard = {event["detail"]["id"]: event for event in self.bus.events}
        say("\n5. What the product has heard on the bus, each event once")
        by_organization: dict[str, list[dict[str, Any]]] = {}
        for event in heard.values():
            by_organization.setdefault(event["detail"]["organization_id"], []).append(event)
        for organization_id, events in sorted(by_organization.items()):
            counts = Counter(event["detail-type"] for event in events)
            say(f"   {organization_id}")
            say(f"      {'  '.join(f'{number} {name}' for name, number in sorted(counts.items())[:3])}")
            if len(counts) > 3:
                say(f"      {'  '.join(f'{number} {name}' for name, number in sorted(counts.items())[3:])}")
            accesses = [
                f"{event['detail']['after']['access']} ({event['detail']['after']['reason']})"
                for event in events
                if event["detail-type"] == "AccessChanged"
            ]
            if accesses:
                say(f"      access: {', '.join(accesses)}")
        say(f"   {len(heard)} events, {len(json.dumps(self.bus.events)) // 1024} KB.")


@contextmanager
def listening(stack: Stack) -> Iterator[Product]:
    """Give a product that hears what a stack tells from now on."""
    dynamodb = tables.client_for(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
    with (
        running_bus() as bus,
        closing(StreamPump(dynamodb, lambda event: stack.events_app.handler(event, TimeLimit()))) as pump,
    ):
        before = os.environ.get("AWS_ENDPOINT_URL_EVENTBRIDGE")
        os.environ["AWS_ENDPOINT_URL_EVENTBRIDGE"] = f"http://127.0.0.1:{bus.port}"
        bus_module.events_client.cache_clear()
        pump.begin()
        try:
            yield Product(pump, bus)
        finally:
            bus_module.events_client.cache_clear()
            if before is None:
                os.environ.pop("AWS_ENDPOINT_URL_EVENTBRIDGE", None)
            else:
                os.environ["AWS_ENDPOINT_URL_EVENTBRIDGE"] = before
