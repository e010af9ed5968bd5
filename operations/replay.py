"""Which of Stripe's events to process once more: those that never arrived, or chosen ones.

An event that was processed already is a duplicate and changes nothing: one event too many does no harm.
"""

from __future__ import annotations

from datetime import datetime

from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.events import list_thin_events, list_undelivered_snapshots, retrieve_event
from billing.tables.stripe_events import StripeEventRecord
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES, StripeEvent, read_event


def undelivered_events(gateway: StripeGateway, since: datetime) -> list[StripeEvent]:
    """Return the events since then that did not arrive, oldest first.

    Of snapshots Stripe says which; of thin events it does not, so these are the ones that have no record here.
    """
    snapshots = list_undelivered_snapshots(gateway, SNAPSHOT_EVENT_TYPES, since)
    thin = map(read_event, list_thin_events(gateway, THIN_EVENT_TYPES, since))
    events = [read_event(snapshot) for snapshot in snapshots]
    events += [event for event in thin if not StripeEventRecord.recorded(event.event_id)]
    return sorted(events, key=lambda event: event.created or 0)


def event_by_id(gateway: StripeGateway, event_id: str) -> StripeEvent:
    """Return an event by its id, snapshot or thin.

    Raises:
        StripeNotFoundError: Stripe has no such event, or none that is younger than 30 days.
    """
    return read_event(retrieve_event(gateway, event_id))
