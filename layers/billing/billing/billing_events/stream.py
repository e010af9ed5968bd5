"""A batch of a table's stream, told: in its order, and as far as the bus takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.billing_events.bus import BusEvent, count_put, put_in_order
from billing.billing_events.changes import VERSION, BillingEvent
from billing.billing_events.images import Change, read_change
from billing.clock import format_time
from billing.settings import stack_name
from billing.telemetry import count, described, logger


def tell_batch(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Put what a batch of a DynamoDB stream tells on the bus; return the record from which on it has to come again.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    events: list[BusEvent] = []
    sequence_numbers: list[str] = []
    for record in batch["Records"]:
        for event in _told_by(record):
            events.append(event)
            sequence_numbers.append(record["dynamodb"]["SequenceNumber"])
    taken = put_in_order(events)
    count_put(events, taken)
    if taken == len(events):
        return {"batchItemFailures": []}
    return {"batchItemFailures": [{"itemIdentifier": sequence_numbers[taken]}]}


def _told_by(record: Mapping[str, Any]) -> list[BusEvent]:
    """Return what one record tells; one that cannot be read tells nothing on the bus, and is told in the log."""
    try:
        change = read_change(record)
    except Exception as error:
        # Whatever it is: it must not keep everything behind it from being told.
        count("changes_damaged")
        extra = {"keys": record.get("dynamodb", {}).get("Keys"), **described(error)}
        logger.error("A change of a table cannot be read; nobody is told of it", extra=extra)
        return []
    if change.damaged:
        count("changes_damaged")
        extra = {"organization_id": change.organization_id, "attributes": sorted(change.damaged)}
        logger.error("An item has attributes that cannot be read; its events leave them out", extra=extra)
    return [_on_the_bus(change, event) for event in change.events]


def _on_the_bus(change: Change, event: BillingEvent) -> BusEvent:
    names = (change.change_id, event.detail_type, event.discriminator)
    detail = {
        "version": VERSION,
        "id": "/".join(filter(None, names)),
        "stack": stack_name(),
        "organization_id": change.organization_id,
        "changed_at": format_time(change.changed_at),
        "record_version": change.record_version,
        "is_retold": change.is_retold,
        **event.detail,
    }
    return BusEvent(change.organization_id, event.detail_type, detail, change.changed_at)
