"""An hour as metering sees it: the values that its decisions are made of. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Key = tuple[str, str]
"""The organisation's id and the hour's start."""


@dataclass(frozen=True, slots=True)
class UsageHour:
    """One hour as it was read.

    `counts` has DynamoDB's value for each meter that was counted, as it was read: so a change in between is seen
    whatever the value is, a number or not.
    """

    organization_id: str
    window_start: str
    counts: Mapping[str, Mapping[str, Any]]
    revision: int | None
    reported: Mapping[str, int]
    reported_to: str | None
    sending: Mapping[str, int] | None
    sending_since: str
    doubt_until: str

    @property
    def key(self) -> Key:
        """Return the hour's key in the table."""
        return self.organization_id, self.window_start


@dataclass(frozen=True, slots=True)
class Link:
    """What ties an organisation to Stripe, as its record had it; `version` is None where nothing wrote it yet."""

    customer_id: str | None
    ended_at: datetime | None
    version: int | None


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is to be sent for an hour.

    `totals` has every meter's total, `revision` is the one they are sent under; `doubt_until` is empty, or the moment
    until which an older total may still reach Stripe.
    """

    hour: UsageHour
    totals: Mapping[str, int]
    customer_id: str
    revision: int
    doubt_until: str


@dataclass(frozen=True, slots=True)
class MeterEvent:
    """One event as Stripe takes it; `timestamp` is in Unix seconds.

    Source: https://docs.stripe.com/api/billing/meter-event/create
    """

    event_name: str
    identifier: str
    timestamp: int
    customer_id: str
    value: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an hour cannot be billed: `code` for metrics and filters, `message` for people."""

    code: str
    message: str

    def __str__(self) -> str:
        """Return the text that the hour's `refused` holds."""
        return f"{self.code}: {self.message}"
