"""Events: one that a thin delivery names, and those that an operator replays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from billing.clock import format_time
from billing.errors import StripeNotFoundError
from billing.stripe_gateway.calls import StripeGateway

NEWEST = 25


def retrieve_thin_event(gateway: StripeGateway, event_id: str) -> dict[str, Any]:
    """Return a thin event with its data, which Stripe keeps for 30 days.

    Raises:
        StripeNotFoundError: Stripe does not have it, or no longer.
    Source: https://docs.stripe.com/api/v2/core/events/retrieve
    """
    event: dict[str, Any] = gateway.read(lambda client: client.v2.core.events.retrieve(event_id)).to_dict()
    return event


def retrieve_event(gateway: StripeGateway, event_id: str) -> dict[str, Any]:
    """Return an event, snapshot or thin.

    Raises:
        StripeNotFoundError: Stripe does not have it, or no longer.
    """
    try:
        event: dict[str, Any] = gateway.read(lambda client: client.v1.events.retrieve(event_id)).to_dict()
    except StripeNotFoundError:
        return retrieve_thin_event(gateway, event_id)
    return event


def list_undelivered_snapshots(
    gateway: StripeGateway, event_types: Sequence[str], since: datetime
) -> list[dict[str, Any]]:
    """Return the snapshot events since then that some destination did not take.

    Source: https://docs.stripe.com/webhooks/process-undelivered-events
    """
    params = {
        "delivery_success": False,
        "types": list(event_types),
        "created": {"gte": int(since.timestamp())},
        "limit": 100,
    }
    return list(gateway.pages("/v1/events", params))


def list_thin_events(gateway: StripeGateway, event_types: Sequence[str], since: datetime) -> list[dict[str, Any]]:
    """Return the thin events since then, delivered or not: of these Stripe does not say which.

    Source: https://docs.stripe.com/api/v2/core/events/list
    """
    params: Any = {"types": list(event_types), "created": {"gte": format_time(since)}, "limit": 100}
    events = gateway.read(lambda client: list(client.v2.core.events.list(params).auto_paging_iter()))
    return [event.to_dict() for event in events]


def list_newest_snapshots(gateway: StripeGateway, event_types: Sequence[str], until: datetime) -> list[dict[str, Any]]:
    """Return the newest snapshot events that were created by then, 25 at most, in one call.

    Source: https://docs.stripe.com/api/events/list
    """
    params = {"types": list(event_types), "created": {"lte": int(until.timestamp())}, "limit": NEWEST}
    return list(islice(gateway.pages("/v1/events", params), NEWEST))


def list_newest_thin_events(
    gateway: StripeGateway, event_types: Sequence[str], until: datetime
) -> list[dict[str, Any]]:
    """Return the newest thin events that were created by then, 25 at most, in one call.

    Source: https://docs.stripe.com/api/v2/core/events/list
    """
    params: Any = {"types": list(event_types), "created": {"lte": format_time(until)}, "limit": NEWEST}
    page = gateway.read(lambda client: client.v2.core.events.list(params))
    return [event.to_dict() for event in page.data]
