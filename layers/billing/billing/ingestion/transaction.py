"""The events of some hours as one transaction, and what its refusal tells of each. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from billing.ingestion.events import UsageEvent
from billing.stripe_limits import LARGEST_VALUE
from billing.tables.usage_counts import Counts, Obstacle, counting_update, obstacles
from billing.tables.usage_events import identity_puts

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
MOST_PARTS = 100
CONDITION_FAILED = "ConditionalCheckFailed"
NOT_TO_BLAME = "None"

# What became of an event. One that is `conflicting` has the identity of another that was counted; the last two are not
# counted because of what their hour has, and have no identity: they can come again.
Outcome = Literal["counted", "duplicate", "conflicting", "hour_damaged", "hour_full"]
# Why an hour does not take an event, for a person; the outcome is the code of the refusal.
REFUSED_BY_THE_HOUR: Mapping[str, str] = {
    "hour_damaged": "Its hour is damaged: what it has of this meter is no number to add to",
    "hour_full": "Its hour would have more than 15 digits of this meter, which Stripe refuses",
}


@dataclass(frozen=True, slots=True)
class EventsOfHour:
    """Events of one organisation's hour, of as many identities, by the key of each; they are counted together.

    `older` are the meters whose number the hour has of a later moment: theirs is not written.
    """

    organization_id: str
    window_start: str
    events: Mapping[str, UsageEvent]
    older: frozenset[str] = frozenset()

    @property
    def counts(self) -> Counts:
        """Return what the events count in all: the sums, and of a `last` meter's numbers the latest."""
        added: dict[str, int] = {}
        latest: dict[str, UsageEvent] = {}
        for event in self.events.values():
            name = event.meter.event_name
            if event.meter.formula == "sum":
                added[name] = added.get(name, 0) + event.value
            elif name not in self.older and (name not in latest or event.time >= latest[name].time):
                latest[name] = event
        return Counts(added, {name: (event.value, event.time) for name, event in latest.items()})

    def without(self, keys: Iterable[str]) -> EventsOfHour:
        """Return the events but for those with these keys."""
        left_out = set(keys)
        kept = {key: event for key, event in self.events.items() if key not in left_out}
        return replace(self, events=kept)


@dataclass(slots=True)
class Judgement:
    """What a refused transaction tells: `outcomes` by key; hours to be tried `again`, and those that are `contended`.

    A contended hour, or an identity of it, was being written by others, or DynamoDB was too busy for it.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    again: list[EventsOfHour] = field(default_factory=list)
    contended: list[EventsOfHour] = field(default_factory=list)


def parts(hours: Sequence[EventsOfHour], now: datetime) -> list[dict[str, Any]]:
    """Return the parts of the transaction: of each hour its events' identities, and the one update of its counts."""
    transaction: list[dict[str, Any]] = []
    for hour in hours:
        transaction += identity_puts(((key, event.content) for key, event in hour.events.items()), now)
        counts = hour.counts
        if counts:
            transaction.append({"Update": counting_update(hour.organization_id, hour.window_start, counts)})
    return transaction


def judged(hours: Sequence[EventsOfHour], reasons: Sequence[Mapping[str, Any]]) -> Judgement:
    """Return what to do after DynamoDB refused the transaction of these hours for these reasons, one for each part."""
    judgement = Judgement()
    remaining = iter(reasons)
    for hour in hours:
        _judge(hour, remaining, judgement)
    if not judgement.outcomes and judgement.again == list(hours):
        # It says nothing that helps: not to be tried as it is without end.
        return Judgement(contended=judgement.again)
    return judgement


def _judge(hour: EventsOfHour, reasons: Iterator[Mapping[str, Any]], judgement: Judgement) -> None:
    outcomes: dict[str, Outcome] = {}
    is_contended = False
    for key, event in hour.events.items():
        reason = next(reasons)
        if reason["Code"] == CONDITION_FAILED and reason.get("Item"):
            seen = reason["Item"].get("content", {}).get("S")
            outcomes[key] = "duplicate" if seen == event.content else "conflicting"
        elif reason["Code"] != NOT_TO_BLAME:
            is_contended = True
    older = hour.older
    counts = hour.counts
    if counts:
        reason = next(reasons)
        found = obstacles(counts, reason["Item"]) if reason.get("Item") else {}
        outcomes = {**_refused_by(hour.without(outcomes), found, reason), **outcomes}
        older |= {name for name, obstacle in found.items() if obstacle == "older"}
        is_contended |= reason["Code"] != NOT_TO_BLAME and not found
    judgement.outcomes |= outcomes
    rest = replace(hour.without(outcomes), older=older)
    if rest.events:
        (judgement.contended if is_contended else judgement.again).append(rest)


def _refused_by(hour: EventsOfHour, found: Mapping[str, Obstacle], reason: Mapping[str, Any]) -> dict[str, Outcome]:
    """Return the events that the hour cannot take, by key."""
    refused: dict[str, Outcome] = {}
    for name, obstacle in found.items():
        if obstacle == "damaged":
            refused |= {key: "hour_damaged" for key, event in hour.events.items() if event.meter.event_name == name}
        elif obstacle == "full":
            refused |= too_many(hour, {name: Decimal(reason["Item"][name]["N"])})
    return refused


def too_many(hour: EventsOfHour, stored: Mapping[str, int | Decimal] = MappingProxyType({})) -> dict[str, Outcome]:
    """Return the increments that no longer fit into an hour's sums, by key: those that do come first."""
    sums = dict(stored)
    refused: dict[str, Outcome] = {}
    for key, event in hour.events.items():
        name = event.meter.event_name
        if event.meter.formula == "sum":
            total = sums.get(name, 0) + event.value
            if total > LARGEST_VALUE:
                refused[key] = "hour_full"
            else:
                sums[name] = total
    return refused
