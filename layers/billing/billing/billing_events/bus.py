"""Events put on an EventBridge bus, in order for each organisation.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from billing.settings import event_bus_name
from billing.telemetry import count, described, logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE = "sensor-billing"
ENTRIES_A_CALL = 10
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html; less a reserve for what it adds.
BYTES_A_CALL = 256 * 1024 - 4096


@dataclass(frozen=True, slots=True)
class BusEvent:
    """An event as it goes on the bus."""

    organization_id: str
    detail_type: str
    detail: Mapping[str, Any]
    time: datetime

    def as_entry(self) -> PutEventsRequestEntryTypeDef:
        """Return the event as PutEvents takes it."""
        return {
            "Source": SOURCE,
            "DetailType": self.detail_type,
            "Detail": json.dumps(self.detail, separators=(",", ":"), ensure_ascii=False),
            "Time": self.time,
            "EventBusName": event_bus_name(),
        }


@cache
def events_client() -> EventBridgeClient:
    """Return the process's only EventBridge client, made on first use."""
    import boto3

    # Botocore's own minute would outlive the function's.
    return boto3.client("events", config=Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3}))


def put_in_order(events: Sequence[BusEvent]) -> int:
    """Put events on the bus; return how many were taken before the first that was not.

    Those behind it may have been taken too, but none of the same organisation.
    """
    taken = 0
    for entries in _calls(events):
        try:
            response = events_client().put_events(Entries=entries)
        except (BotoCoreError, ClientError) as error:
            logger.error("The event bus took nothing; it is asked again", extra=described(error))
            return taken
        codes = [entry.get("ErrorCode") for entry in response["Entries"]]
        failed = next((number for number, code in enumerate(codes) if code), None)
        if failed is not None:
            code, organization_id = codes[failed], events[taken + failed].organization_id
            logger.error(
                "The event bus did not take an event; it is put again",
                extra={"error_codes": [code], "organization_id": organization_id},
            )
            return taken + failed
        taken += len(entries)
    return taken


def _calls(events: Sequence[BusEvent]) -> Iterator[list[PutEventsRequestEntryTypeDef]]:
    """Yield the entries of each call: no two events of an organisation, so that a failure never lets one overtake."""
    entries: list[PutEventsRequestEntryTypeDef] = []
    organizations: set[str] = set()
    size = 0
    for event in events:
        entry = event.as_entry()
        bytes_of_entry = len((SOURCE + entry["DetailType"] + entry["Detail"]).encode()) + 14
        is_full = len(entries) == ENTRIES_A_CALL or size + bytes_of_entry > BYTES_A_CALL
        if entries and (is_full or event.organization_id in organizations):
            yield entries
            entries, organizations, size = [], set(), 0
        entries.append(entry)
        organizations.add(event.organization_id)
        size += bytes_of_entry
    if entries:
        yield entries


def count_put(events: Sequence[BusEvent], taken: int) -> None:
    """Count the events that the bus has taken, by type, and those that it has not."""
    for event in events[:taken]:
        count("events_told", dimension=event.detail_type)
    count("events_not_told", len(events) - taken)
