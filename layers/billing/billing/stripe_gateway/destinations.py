"""Webhook destinations, as provisioning makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from billing.stripe_gateway.calls import API_VERSION, StripeGateway

# What people see in Stripe's dashboard.
NAME = "sensor-billing usage billing"


@dataclass(frozen=True, slots=True)
class Destination:
    """A webhook destination as Stripe has it; `api_version` is None where it follows the account's."""

    destination_id: str
    url: str
    event_types: frozenset[str]
    is_enabled: bool
    api_version: str | None
    metadata: dict[str, str]


class SnapshotDestinations:
    """The account's v1 endpoints, which get snapshots in the shape of the pinned API version.

    Source: https://docs.stripe.com/api/webhook_endpoints
    """

    kind = "snapshot destination"
    api_version: str | None = API_VERSION

    def __init__(self, gateway: StripeGateway, event_types: Sequence[str]) -> None:
        self._gateway = gateway
        self.event_types = event_types

    def all(self) -> Iterator[Destination]:
        """Yield every destination of this kind."""
        for item in self._gateway.pages("/v1/webhook_endpoints", {"limit": 100}):
            yield Destination(
                item["id"],
                item["url"],
                frozenset(item["enabled_events"]),
                item["status"] == "enabled",
                item.get("api_version"),
                dict(item.get("metadata") or {}),
            )

    def create(self, url: str, metadata: dict[str, str]) -> tuple[str, str]:
        """Create one; return its id and its signing secret, which Stripe shows only now."""
        params: Any = {
            "url": url,
            "enabled_events": list(self.event_types),
            "api_version": API_VERSION,
            "description": NAME,
            "metadata": metadata,
        }
        made = self._gateway.once(lambda client: client.v1.webhook_endpoints.create(params)).to_dict()
        return made["id"], made["secret"]

    def update(self, destination_id: str, **changes: Any) -> None:
        """Change event types or metadata."""
        params: Any = changes
        self._gateway.once(lambda client: client.v1.webhook_endpoints.update(destination_id, params))

    def enable(self, destination_id: str) -> None:
        """Enable one that was disabled."""
        self._gateway.once(lambda client: client.v1.webhook_endpoints.update(destination_id, {"disabled": False}))

    def delete(self, destination_id: str) -> None:
        """Delete one."""
        self._gateway.once(lambda client: client.v1.webhook_endpoints.delete(destination_id))


class ThinDestinations:
    """The account's v2 destinations of thin events, which have no API version.

    Source: https://docs.stripe.com/api/v2/core/event_destinations
    """

    kind = "thin destination"
    api_version: str | None = None

    def __init__(self, gateway: StripeGateway, event_types: Sequence[str]) -> None:
        self._gateway = gateway
        self.event_types = event_types

    def all(self) -> Iterator[Destination]:
        """Yield every destination of this kind."""
        listed = self._gateway.read(
            lambda client: list(
                client.v2.core.event_destinations.list(
                    {"include": ["webhook_endpoint.url"], "limit": 100}
                ).auto_paging_iter()
            )
        )
        for found in listed:
            item = found.to_dict()
            if item.get("type") != "webhook_endpoint" or item.get("event_payload") != "thin":
                continue
            yield Destination(
                item["id"],
                (item.get("webhook_endpoint") or {}).get("url") or "",
                frozenset(item["enabled_events"]),
                item["status"] == "enabled",
                None,
                dict(item.get("metadata") or {}),
            )

    def create(self, url: str, metadata: dict[str, str]) -> tuple[str, str]:
        """Create one; return its id and its signing secret, which Stripe shows only now."""
        params: Any = {
            "name": NAME,
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": list(self.event_types),
            "webhook_endpoint": {"url": url},
            "metadata": metadata,
            "include": ["webhook_endpoint.signing_secret"],
        }
        made = self._gateway.once(lambda client: client.v2.core.event_destinations.create(params)).to_dict()
        return made["id"], made["webhook_endpoint"]["signing_secret"]

    def update(self, destination_id: str, **changes: Any) -> None:
        """Change event types or metadata."""
        params: Any = changes
        self._gateway.once(lambda client: client.v2.core.event_destinations.update(destination_id, params))

    def enable(self, destination_id: str) -> None:
        """Enable one that was disabled."""
        self._gateway.once(lambda client: client.v2.core.event_destinations.enable(destination_id))

    def delete(self, destination_id: str) -> None:
        """Delete one."""
        self._gateway.once(lambda client: client.v2.core.event_destinations.delete(destination_id))


Destinations = SnapshotDestinations | ThinDestinations
