"""Event destinations, and the two APIs that manage them.

v1 webhook endpoints (https://docs.stripe.com/api/webhook_endpoints) get snapshots; v2 event destinations
(https://docs.stripe.com/api/v2/core/event_destinations) get snapshots or thin events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stripe_simulator.clock import rfc3339
from stripe_simulator.errors import invalid_parameter, missing_parameter, no_such
from stripe_simulator.parameters import (
    Params,
    boolean,
    mapping,
    merged_metadata,
    one_of,
    required,
    sequence,
    text,
)

if TYPE_CHECKING:
    from stripe_simulator.account import Account
    from stripe_simulator.resources import StripeObject

V1_URL = "/v1/webhook_endpoints"
V2_URL = "/v2/core/event_destinations"


@dataclass
class Destination:
    """A URL that gets events of some types, signed with its secrets: (secret, expiry or None), oldest first."""

    id: str
    url: str
    payload: Literal["snapshot", "thin"]
    enabled_events: list[str]
    api_version: str | None
    made_by: Literal["v1", "v2"]
    name: str
    description: str
    metadata: dict[str, str]
    created: int
    now: Callable[[], float]
    enabled: bool = True
    secrets: list[tuple[str, float | None]] = field(default_factory=list)

    @property
    def secret(self) -> str:
        """Return the newest signing secret."""
        return self.secrets[-1][0]

    def valid_secrets(self) -> list[str]:
        """Return every secret that signs now: the newest, and rotated ones until they expire."""
        now = self.now()
        return [secret for secret, expires in self.secrets if expires is None or expires > now]

    def wants(self, event_type: str, payload: str) -> bool:
        """Say whether it gets events of a type in a kind of payload."""
        return (
            self.enabled
            and payload == self.payload
            and ("*" in self.enabled_events or event_type in self.enabled_events)
        )

    def as_v1(self, *, with_secret: bool = False) -> StripeObject:
        """Return it as v1 shows it; the secret is only in the response to its creation."""
        endpoint: StripeObject = {
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": self.api_version,
            "application": None,
            "created": self.created,
            "description": self.description or None,
            "enabled_events": self.enabled_events,
            "livemode": False,
            "metadata": self.metadata,
            "status": "enabled" if self.enabled else "disabled",
            "url": self.url,
        }
        return endpoint | ({"secret": self.secret} if with_secret else {})

    def as_v2(self, include: list[str]) -> StripeObject:
        """Return it as v2 shows it; the URL and, at creation, the secret only where `include` asks for them."""
        included = {
            "url": self.url if "webhook_endpoint.url" in include else None,
            "signing_secret": self.secret if "webhook_endpoint.signing_secret" in include else None,
        }
        return {
            "id": self.id,
            "object": "v2.core.event_destination",
            "created": rfc3339(self.created),
            "description": self.description,
            "enabled_events": self.enabled_events,
            "event_payload": self.payload,
            "events_from": ["@self"],
            "livemode": False,
            "metadata": self.metadata,
            "name": self.name,
            "snapshot_api_version": self.api_version,
            "status": "enabled" if self.enabled else "disabled",
            "status_details": None if self.enabled else {"disabled": {"reason": "user"}},
            "type": "webhook_endpoint",
            "updated": rfc3339(self.created),
            "webhook_endpoint": included if any(included.values()) else None,
        }


def create_endpoint(account: Account, params: Params) -> StripeObject:
    """Respond to `POST /v1/webhook_endpoints`: with the secret, this once."""
    events = [str(name) for name in sequence(params, "enabled_events")]
    if not events:
        raise missing_parameter("enabled_events")
    for name in events:
        if name.startswith("v1.") or name.startswith("v2."):
            raise invalid_parameter("enabled_events", f"Invalid enabled_events: {name} is a thin event type")
    destination = account.webhooks.add_destination(
        str(required(params, "url")),
        "snapshot",
        events,
        api_version=text(params, "api_version"),
        description=text(params, "description") or "",
        metadata=merged_metadata({}, params),
        made_by="v1",
    )
    return destination.as_v1(with_secret=True)


def find(account: Account, destination_id: str, made_by: str) -> Destination:
    """Return a destination of one of the APIs, or raise a 404."""
    destination = account.webhooks.destinations.get(destination_id)
    if destination is None or destination.made_by != made_by:
        raise no_such("webhook endpoint" if made_by == "v1" else "event destination", destination_id)
    return destination


def update(account: Account, destination_id: str, params: Params, made_by: str) -> StripeObject:
    """Change a destination's URL, event types, description, name, metadata, or (v1) whether it is disabled."""
    destination = find(account, destination_id, made_by)
    url = text(params if made_by == "v1" else mapping(params, "webhook_endpoint"), "url")
    destination.url = url or destination.url
    if "enabled_events" in params:
        destination.enabled_events = [str(name) for name in sequence(params, "enabled_events")]
    if "description" in params:
        destination.description = text(params, "description") or ""
    destination.name = text(params, "name") or destination.name
    destination.metadata = merged_metadata(destination.metadata, params)
    if made_by == "v2":
        return destination.as_v2(sequence(params, "include"))
    disabled = boolean(params, "disabled")
    destination.enabled = destination.enabled if disabled is None else not disabled
    return destination.as_v1()


def delete(account: Account, destination_id: str, made_by: str) -> StripeObject:
    """Remove a destination; its waiting deliveries stay."""
    del account.webhooks.destinations[find(account, destination_id, made_by).id]
    if made_by == "v1":
        return {"id": destination_id, "object": "webhook_endpoint", "deleted": True}
    return {"id": destination_id, "object": "v2.core.event_destination"}


def made_by(account: Account, api: str) -> list[Destination]:
    """Return the destinations of one of the APIs (`v1`, `v2`), newest first."""
    return [each for each in reversed(account.webhooks.destinations.values()) if each.made_by == api]


def create_destination(account: Account, params: Params) -> StripeObject:
    """Respond to `POST /v2/core/event_destinations` for webhook endpoints, snapshot or thin."""
    destination_type = one_of(params, "type", ("webhook_endpoint", "amazon_eventbridge", "azure_event_grid"))
    if destination_type != "webhook_endpoint":
        raise invalid_parameter("type", "The simulator only has destinations of type webhook_endpoint")
    payload = one_of(params, "event_payload", ("snapshot", "thin"))
    events = [str(name) for name in sequence(params, "enabled_events")]
    if payload is None or not events:
        raise missing_parameter("event_payload" if payload is None else "enabled_events")
    if payload == "thin" and text(params, "snapshot_api_version"):
        raise invalid_parameter("snapshot_api_version", "Only destinations of snapshot events have an API version")
    for name in events:
        if (payload == "thin") != name.startswith(("v1.", "v2.")) and name != "*":
            raise invalid_parameter("enabled_events", f"{name} is not an event type of {payload} payloads")
    destination = account.webhooks.add_destination(
        str(required(mapping(params, "webhook_endpoint"), "url")),
        "thin" if payload == "thin" else "snapshot",
        events,
        api_version=text(params, "snapshot_api_version"),
        name=str(required(params, "name")),
        description=text(params, "description") or "",
        metadata=merged_metadata({}, params),
        made_by="v2",
    )
    return destination.as_v2(sequence(params, "include"))


def set_enabled(account: Account, destination_id: str, enabled: bool) -> StripeObject:
    """Enable or disable a v2 destination; a disabled one gets no deliveries."""
    destination = find(account, destination_id, "v2")
    destination.enabled = enabled
    return destination.as_v2([])
