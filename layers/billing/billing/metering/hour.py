"""An hour as metering sees it: the values that its decisions are made of. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from billing.metered_subscriptions import MeteredSubscription

Key = tuple[str, str]
"""The organisation's id and the hour's start."""


@dataclass(frozen=True, slots=True)
class UsageHour:
    """One hour as it was read.

    `counts` has DynamoDB's value for each meter that was counted, as it was read: so a change in between is seen
    whatever the value is, a number or not. Times are texts as the table has them, empty where there is none. What
    metering's own attributes mean stands in `metering/__init__.py`.
    """

    organization_id: str
    window_start: str
    counts: Mapping[str, Mapping[str, Any]]
    version: int | None
    revision: int
    reported: Mapping[str, int]
    reported_under: Mapping[str, int]
    reported_to: str | None
    was_reported: bool
    sending: Mapping[str, int] | None
    sending_since: str
    doubt_until: str
    others_until: str
    stamped_from: str = ""
    carried: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    reported_at: str = ""
    history: str | None = None
    is_due: bool = True

    @property
    def key(self) -> Key:
        """Return the hour's key in the table."""
        return self.organization_id, self.window_start


@dataclass(frozen=True, slots=True)
class Link:
    """What ties an organisation to Stripe, as its record had it; `version` is None where nothing wrote it yet.

    `subscriptions` are those that sell our meters, or sold them of late; the one that is followed comes first.
    `thresholds` are its limits (`billing.thresholds`), as the record has them.
    """

    customer_id: str | None
    subscriptions: tuple[MeteredSubscription, ...]
    version: int | None
    thresholds: str = ""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is to be sent for an hour.

    `totals` has every meter's total, `revision` is the one they are sent under. `others_until` is until when another
    sender may still send, `doubt_until` until when one may still send other totals than these; empty where none can.
    `stamped_from` is the moment in the hour from which its events are stamped; empty for its start.
    """

    hour: UsageHour
    totals: Mapping[str, int]
    customer_id: str
    revision: int
    doubt_until: str
    others_until: str
    stamped_from: str = ""

    @property
    def version(self) -> int:
        """Return the item's version once this is declared: what its sender needs to settle, refuse or release it."""
        return (self.hour.version or 0) + 1


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
class Late:
    """An hour whose period's invoice is final: nothing is sent for it, and what is owed is carried."""

    totals: Mapping[str, int]


# Stripe does not know the customer, or no longer: nothing that was sent to it is on an invoice to come.
NO_SUCH_CUSTOMER = "no_such_customer"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an hour cannot be billed: `code` for metrics and filters, `message` for people.

    `is_certain` is False where Stripe refused it after an attempt without a response, which it may have accepted.
    """

    code: str
    message: str
    is_certain: bool = True

    def __str__(self) -> str:
        """Return the text that the hour's `refused` holds."""
        return f"{self.code}: {self.message}"
