"""Usage events as they arrive at the function: batches of messages, of one organisation or many, some of them twice."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from programs.local.sqs_event import sqs_event

MESSAGES_A_BATCH = 10
METER = "temperature_readings"


@dataclass(frozen=True, slots=True)
class Load:
    """What arrives: `events` of so many `organizations`, of each so many `in_a_row`, handed over in batches of a size.

    Of the events the share `duplicates` has come before. `workers` invocations run at once.
    """

    events: int
    organizations: int
    in_a_row: int
    batch: int
    duplicates: float = 0
    workers: int = 1


def batches(load: Load, hour: datetime) -> list[list[dict[str, Any]]]:
    """Return the events, all of one hour, batch by batch; the same each time."""
    chance = random.Random(7)
    events: list[dict[str, Any]] = []
    while len(events) < load.events:
        if events and chance.random() < load.duplicates:
            events.append(chance.choice(events))
            continue
        number = len(events)
        organization = f"organization-{number // load.in_a_row % load.organizations:05}"
        events.append(
            {
                "specversion": "1.0",
                "id": f"8f3a2c1e-{number:08}",
                "source": f"gateway/{organization}",
                "type": METER,
                "subject": organization,
                "time": (hour + timedelta(seconds=number % 3600)).isoformat(),
                "data": {"value": 1 + number % 60},
            }
        )
    return [events[start : start + load.batch] for start in range(0, len(events), load.batch)]


def batch_event(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a batch as Lambda hands it over: ten messages, each with a tenth of the events."""
    size = max(1, len(events) // MESSAGES_A_BATCH)
    parts = [events[start : start + size] for start in range(0, len(events), size)]
    return sqs_event([json.dumps(part[0] if len(part) == 1 else part) for part in parts])
