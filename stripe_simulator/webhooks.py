"""Webhooks: who gets which events, and which deliveries wait.

In manual mode (the default) deliveries wait in a queue until a test takes them and delivers them itself: in any order,
late, twice. In automatic mode `Dispatcher` posts them and retries on the simulator's clock.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from stripe_simulator.deliveries import Delivery
from stripe_simulator.destinations import Destination
from stripe_simulator.dispatcher import Dispatcher, post
from stripe_simulator.resources import Resource, StripeObject, synchronized, unlocked
from stripe_simulator.shapes import in_version

if TYPE_CHECKING:
    from stripe_simulator.account import Account


@synchronized
class Webhooks(Resource):
    """The account's destinations and deliveries: `deliveries` has all, `waiting` those that nobody has taken."""

    resource_name = "webhook endpoint"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.destinations: dict[str, Destination] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.waiting: list[Delivery] = []
        self._by_event: dict[str, list[Delivery]] = {}
        self._dispatcher: Dispatcher | None = None

    def add_destination(
        self,
        url: str = "http://localhost/stripe/webhook",
        payload: Literal["snapshot", "thin"] = "snapshot",
        enabled_events: list[str] | None = None,
        *,
        secret: str | None = None,
        api_version: str | None = None,
        made_by: Literal["v1", "v2"] | None = None,
        name: str = "",
        description: str = "",
        metadata: dict[str, str] | None = None,
    ) -> Destination:
        """Register a destination for some event types (all unless given), snapshots or thin, never both.

        `api_version` decides the shape of its snapshots (None: the current one). `made_by` says which API lists it.
        """
        made_by = made_by or ("v1" if payload == "snapshot" else "v2")
        account = self.account
        destination = Destination(
            id=account.new_id("we", 24) if made_by == "v1" else account.new_id("ed_test", 32),
            url=url,
            payload=payload,
            enabled_events=enabled_events or ["*"],
            api_version=api_version,
            made_by=made_by,
            name=name,
            description=description,
            metadata=metadata or {},
            created=int(account.now()),
            now=account.now,
        )
        destination.secrets.append((secret or account.new_id("whsec", 32), None))
        self.destinations[destination.id] = destination
        return destination

    def rotate_secret(self, destination_id: str, keep_seconds: float = 86400, *, secret: str | None = None) -> str:
        """Give a destination a new secret; the old ones stay valid so long, and deliveries carry both signatures."""
        destination = self.destinations[destination_id]
        until = self.account.now() + keep_seconds
        destination.secrets = [
            (old, until if expires is None else min(until, expires)) for old, expires in destination.secrets
        ]
        new = secret or self.account.new_id("whsec", 32)
        destination.secrets.append((new, None))
        return new

    def queue(self, event: StripeObject) -> None:
        """Make a delivery of an event for each destination that wants it."""
        payload: Literal["snapshot", "thin"] = "thin" if event["object"] == "v2.core.event" else "snapshot"
        for destination in self.destinations.values():
            if not destination.wants(event["type"], payload):
                continue
            content = event
            if payload == "snapshot":
                content = in_version(event, destination.api_version) | {"pending_webhooks": 1}
            body = json.dumps(content, indent=2).encode()
            delivery = self.make_delivery(destination, event["id"], event["type"], body)
            self._by_event.setdefault(event["id"], []).append(delivery)

    def make_delivery(self, destination: Destination, event_id: str, event_type: str, body: bytes) -> Delivery:
        """Queue a delivery with any body: an older shape, expanded objects, or something damaged."""
        delivery = Delivery(
            id=self.account.new_id("dlv", 16),
            event_id=event_id,
            event_type=event_type,
            payload=destination.payload,
            body=body,
            destination=destination,
            created=self.account.arrival_time(),
        )
        self.deliveries[delivery.id] = delivery
        if self._dispatcher is not None:
            self._dispatcher.add(delivery)
        else:
            self.waiting.append(delivery)
        return delivery

    def resend(self, event_id: str) -> list[Delivery]:
        """Queue an event again for every destination that got it, as a resend by hand does."""
        deliveries = [
            self.make_delivery(first.destination, event_id, first.event_type, first.body)
            for first in list(self._by_event.get(event_id, ()))
        ]
        self._by_event.setdefault(event_id, []).extend(deliveries)
        return deliveries

    # --- manual mode

    def take(self, event_type: str | None = None) -> list[Delivery]:
        """Take the waiting deliveries out of the queue, all or those of one event type, oldest first."""
        taken = [delivery for delivery in self.waiting if event_type in (None, delivery.event_type)]
        self.waiting = [delivery for delivery in self.waiting if delivery not in taken]
        return taken

    @unlocked
    def deliver(self, delivery: Delivery, url: str | None = None) -> int | None:
        """Post a delivery over HTTP once, record the attempt and return the status (None: no response)."""
        status, error = post(url or delivery.url, delivery.body, delivery.headers())
        delivery.record(status, error)
        return status

    # --- automatic mode

    def start_automatic(self, *, speed: float = 1) -> None:
        """Post deliveries in the background from now on, those that wait first, with Stripe's retries.

        The retry times are seconds of the simulator's clock, divided by `speed`.
        """
        self.close()
        self._dispatcher = Dispatcher(self.account, speed)
        for delivery in self.waiting:
            self._dispatcher.add(delivery)
        self.waiting = []

    def start_manual(self) -> None:
        """Go back to manual mode; what is on its way is not retried any more."""
        self.close()

    def close(self) -> None:
        """Stop the background deliveries, if any."""
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            dispatcher.close()

    def scheduled_count(self) -> int:
        """Return how many deliveries wait for the time of their next attempt (0 in manual mode)."""
        return self._dispatcher.scheduled_count() if self._dispatcher is not None else 0

    # --- what /v1/events shows, and drafts wait for

    def accepted_at(self, event_id: str) -> float | None:
        """Return when the last destination accepted an event: None while one has not, 0 where nobody wanted it."""
        moments: dict[str, float | None] = {}
        for delivery in self._by_event.get(event_id, ()):
            accepted = next((attempt.at for attempt in delivery.attempts if attempt.accepted), None)
            moments[delivery.destination.id] = moments.get(delivery.destination.id) or accepted
        found = [moment for moment in moments.values() if moment is not None]
        return max(found, default=0.0) if len(found) == len(moments) else None

    def all_delivered(self, event_id: str) -> bool:
        """Say whether every delivery of an event has succeeded (also where nobody wanted it)."""
        return all(delivery.delivered for delivery in self._by_event.get(event_id, ()))

    def pending_count(self, event_id: str) -> int:
        """Return how many destinations have yet to accept an event with a 2xx."""
        return sum(not delivery.delivered for delivery in self._by_event.get(event_id, ()))
