"""Stripe's events through the webhook's own code once more: those that never arrived, or chosen ones.

An event that was worked off already is a duplicate and changes nothing, so too many are no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from billing import clock
from billing.errors import StripeNotFoundError
from billing.stripe_gateway import StripeGateway
from billing.tables.stripe_events import StripeEventRecord
from billing.webhooks.delivery import Delivered, deliver
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES, StripeEvent, read_event


def undelivered(gateway: StripeGateway, since: datetime) -> list[StripeEvent]:
    """Return the events since then that did not arrive, oldest first.

    Of snapshots Stripe says which; of thin events it does not, so these are the ones that have no record here.
    Source: https://docs.stripe.com/webhooks/process-undelivered-events
    """
    snapshots = gateway.pages(
        "/v1/events",
        {
            "delivery_success": False,
            "types": list(SNAPSHOT_EVENT_TYPES),
            "created": {"gte": int(since.timestamp())},
            "limit": 100,
        },
    )
    found = [read_event(item) for item in snapshots]
    found += [event for event in _thin(gateway, since) if not StripeEventRecord.recorded(event.event_id)]
    return sorted(found, key=lambda event: event.created or 0)


def _thin(gateway: StripeGateway, since: datetime) -> Iterator[StripeEvent]:
    params: Any = {
        "types": list(THIN_EVENT_TYPES),
        "created": {"gte": clock.format_time(since)},
        "limit": 100,
    }
    listed = gateway.read(lambda: list(gateway.client.v2.core.events.list(params).auto_paging_iter()))
    for found in listed:
        yield read_event(found.to_dict())


def chosen(gateway: StripeGateway, event_ids: Iterable[str]) -> list[StripeEvent]:
    """Return events by their ids, snapshot or thin.

    Raises:
        StripeNotFoundError: Stripe has no such event, or none that is younger than 30 days.
    """
    return [_event(gateway, event_id) for event_id in event_ids]


def _event(gateway: StripeGateway, event_id: str) -> StripeEvent:
    try:
        return read_event(gateway.read(lambda: gateway.client.v1.events.retrieve(event_id)).to_dict())
    except StripeNotFoundError:
        return read_event(gateway.event(event_id))


def replay(event: StripeEvent, gateway: StripeGateway) -> Delivered:
    """Work off an event as if Stripe had just delivered it."""
    return deliver(event, gateway)
