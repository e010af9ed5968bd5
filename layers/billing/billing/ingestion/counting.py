"""Usage events counted in their hours, each identity once, whatever fails and whoever else is counting them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from billing import clock
from billing.errors import UnavailableError
from billing.ingestion.events import UsageEvent
from billing.ingestion.transaction import MOST_PARTS, EventsOfHour, Judgement, Outcome, judged, parts, too_many
from billing.tables.table import cancellation_reasons, client, is_transient
from billing.tables.usage_events import event_key
from billing.telemetry import described, logger

# Transactions under way at once in one invocation.
CALLS_AT_ONCE = 8
# Of an hour that others are writing; the pauses between them are about three seconds together.
ATTEMPTS = 8
LONGEST_PAUSE_SECONDS = 1.0
# In one line of the log.
MOST_LOGGED = 10


def count_events(events: Sequence[UsageEvent]) -> list[Outcome]:
    """Count events in their hours, and make these due; return what became of each, in the order given.

    Of the same identity twice the first is counted.

    Raises:
        UnavailableError: some could not be counted now. Count all of them again: those that were are duplicates then.
    """
    outcomes = [outcome for outcome in count_each(events) if outcome is not None]
    if len(outcomes) < len(events):
        raise UnavailableError(f"{len(events) - len(outcomes)} of {len(events)} usage events could not be counted now")
    return outcomes


def count_each(events: Sequence[UsageEvent], may_continue: Callable[[], bool] = lambda: True) -> list[Outcome | None]:
    """Count events as `count_events` does; None for those that could not be counted now, of which nothing is written.

    Where the response to a write was lost, nothing is known of its events: they are None too, and may be counted.
    """
    keys = [event_key(event.source, event.id) for event in events]
    outcomes: list[Outcome | None] = [None] * len(events)
    waiting: Sequence[int] = range(len(events))
    while waiting:
        first: dict[str, int] = {}
        repeated = [position for position in waiting if first.setdefault(keys[position], position) != position]
        found = _count_distinct({key: events[position] for key, position in first.items()}, may_continue)
        for key, position in first.items():
            outcomes[position] = found.get(key)
        waiting = []
        for position in repeated:
            key = keys[position]
            is_same = events[position].content == events[first[key]].content
            outcomes[position] = _repeated(found.get(key), is_same)
            if key in found and outcomes[position] is None:
                waiting.append(position)
    return outcomes


def _repeated(outcome: Outcome | None, is_same: bool) -> Outcome | None:
    """Return what becomes of an event after another with its identity; None where that is not known yet."""
    if outcome in ("counted", "duplicate"):
        return "duplicate" if is_same else "conflicting"
    return outcome if is_same else None


def _count_distinct(events: Mapping[str, UsageEvent], may_continue: Callable[[], bool]) -> dict[str, Outcome]:
    """Count events of as many identities, by key; those of which nothing is returned could not be counted now."""
    outcomes: dict[str, Outcome] = {}
    hours = []
    for hour in _by_hour(events):
        refused = too_many(hour)
        outcomes |= refused
        hours.append(hour.without(refused) if refused else hour)
    now = clock.utc_now()
    series = list(_in_series(hours))
    if len(series) == 1:
        return outcomes | _count_series(series[0], now, may_continue)
    with ThreadPoolExecutor(CALLS_AT_ONCE, "ingestion") as executor:
        for counted in executor.map(lambda transactions: _count_series(transactions, now, may_continue), series):
            outcomes |= counted
    return outcomes


def _by_hour(events: Mapping[str, UsageEvent]) -> Iterable[EventsOfHour]:
    hours: dict[tuple[str, str], dict[str, UsageEvent]] = {}
    for key, event in events.items():
        hours.setdefault((event.organization_id, event.window_start), {})[key] = event
    return [EventsOfHour(*hour, its_events) for hour, its_events in hours.items()]


def _in_series(hours: Iterable[EventsOfHour]) -> Iterable[list[list[EventsOfHour]]]:
    """Yield transactions, each series one after the other: two at once of the same hour would stop each other.

    Small hours share a transaction, which costs DynamoDB the same and the processor a fraction.
    """
    together: list[EventsOfHour] = []
    size = 0
    for hour in hours:
        if len(hour.events) >= MOST_PARTS:
            yield [[part] for part in _cut(hour, MOST_PARTS - 1)]
            continue
        if together and size + len(hour.events) + 1 > MOST_PARTS:
            yield [together]
            together, size = [], 0
        together.append(hour)
        size += len(hour.events) + 1
    if together:
        yield [together]


def _cut(hour: EventsOfHour, size: int) -> Iterable[EventsOfHour]:
    keys = list(hour.events)
    for start in range(0, len(keys), size):
        events = {key: hour.events[key] for key in keys[start : start + size]}
        yield EventsOfHour(hour.organization_id, hour.window_start, events)


def _count_series(
    transactions: Iterable[list[EventsOfHour]], now: datetime, may_continue: Callable[[], bool]
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for hours in transactions:
        contended: list[EventsOfHour] = []
        while hours and may_continue():
            judgement = _count(hours, now)
            outcomes |= judgement.outcomes
            contended += judgement.contended
            hours = judgement.again
        for hour in contended:
            outcomes |= _count_contended(hour, now, may_continue)
    return outcomes


def _count_contended(hour: EventsOfHour, now: datetime, may_continue: Callable[[], bool]) -> dict[str, Outcome]:
    """Count an hour that others are writing, alone."""
    outcomes: dict[str, Outcome] = {}
    for attempt in range(ATTEMPTS):
        pause(attempt)
        if not may_continue():
            break
        judgement = _count([hour], now)
        outcomes |= judgement.outcomes
        rest = [*judgement.again, *judgement.contended]
        if not rest:
            break
        (hour,) = rest
    return outcomes


def pause(attempt: int) -> None:
    """Wait before an attempt, longer each time, and not as long as others that wait."""
    time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.02 * 2**attempt)))  # noqa: S311  # jitter needs no secrecy


def _count(hours: list[EventsOfHour], now: datetime) -> Judgement:
    """Count hours in one transaction: all of it happens or nothing."""
    transaction: Any = parts(hours, now)
    try:
        client().transact_write_items(TransactItems=transaction)
    except Exception as error:
        reasons = cancellation_reasons(error) if isinstance(error, ClientError) else []
        if reasons:
            return judged(hours, reasons)
        if len(hours) > 1 and not is_transient(error):
            return Judgement(contended=hours)  # until the culprit is alone
        log = logger.warning if is_transient(error) else logger.error
        organization_ids = sorted({hour.organization_id for hour in hours})[:MOST_LOGGED]
        log("Usage could not be counted now", extra={"organization_ids": organization_ids, **described(error)})
        return Judgement()
    return Judgement(outcomes={key: "counted" for hour in hours for key in hour.events})
