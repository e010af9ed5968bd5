"""Which hours are due, and what their items and their organisations' records say. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from billing.clock import HOUR, format_time, from_unix, parse_time
from billing.errors import UnavailableError
from billing.invoices.boundary import settled_period_of
from billing.invoices.storage import read_periods
from billing.metered_subscriptions import MeteredSubscription, covering, from_text
from billing.metering.hour import Key, Link, UsageHour
from billing.meters import METERS
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import client
from billing.tables.usage import SHARDS, DueIndex, UsageRecord

# The most items that one read takes: a page of the index, a `BatchGetItem`.
READ_BATCH = 100
UNPROCESSED_ATTEMPTS = 5
LINK_ATTRIBUTES = (
    "organization_id",
    "stripe_customer_id",
    "stripe_subscription_id",
    "started_at",
    "ended_at",
    "metered_subscriptions",
    "thresholds",
    "version",
)


def due_keys(shard: int, until: datetime) -> Iterator[Key]:
    """Yield the keys of a shard's hours that ended by `until`, oldest first."""
    has_ended: Any = DueIndex.due_at <= format_time(until)
    for record in UsageRecord.due.query(shard, has_ended, page_size=READ_BATCH):
        yield record.organization_id, record.window_start


def due_keys_fairly(shards: Sequence[int], until: datetime) -> Iterator[Key]:
    """Yield the due hours of several shards, a page of each in turn, so that no shard waits for all of another."""
    waiting = [due_keys(shard, until) for shard in shards]
    while waiting:
        for keys in tuple(waiting):
            page = list(islice(keys, READ_BATCH))
            yield from page
            if len(page) < READ_BATCH:
                waiting.remove(keys)


def oldest_due() -> datetime | None:
    """Return when the oldest due hour ended, over all shards; None where no hour is due."""
    ends = [end for shard in range(SHARDS) if (end := _first_end(UsageRecord.due.query(shard))) is not None]
    return min(ends, default=None)


def _first_end(records: Iterable[UsageRecord]) -> datetime | None:
    """Return when the first of these hours ended whose key is an hour: any other ended never."""
    return next((record.start + HOUR for record in records if record.start is not None), None)


def read_due(keys: Sequence[Key]) -> list[UsageHour]:
    """Read at most 100 hours in one call, consistently; those that are no longer due are left out."""
    return [hour for hour in read_hours(keys) if hour.is_due]


def read_hours(keys: Sequence[Key]) -> list[UsageHour]:
    """Read at most 100 hours in one call, consistently; those without an item are left out."""
    wanted = [{"organization_id": {"S": key[0]}, "window_start": {"S": key[1]}} for key in keys]
    return [_hour(item) for item in _read(UsageRecord.name(), {"Keys": wanted})]


def read_links(organization_ids: Sequence[str]) -> dict[str, Link]:
    """Read at most 100 organisations' links in one call, consistently; those without a record are left out."""
    request = {
        "Keys": [{"organization_id": {"S": organization_id}} for organization_id in organization_ids],
        "ProjectionExpression": ", ".join(LINK_ATTRIBUTES),
    }
    return {item["organization_id"]["S"]: _link(item) for item in _read(SubscriptionRecord.name(), request)}


def settled_hours(hours: Iterable[UsageHour], links: Mapping[str, Link], now: datetime) -> set[Key]:
    """Return those hours whose period is settled: its invoice is final, or none will come.

    Only of organisations that have an hour outside its subscription's open period are the periods read.
    """
    suspects: dict[str, list[UsageHour]] = {}
    for hour in hours:
        if not _is_of_an_open_period(hour, links.get(hour.organization_id), now):
            suspects.setdefault(hour.organization_id, []).append(hour)
    settled = set()
    for organization_id, its_hours in suspects.items():
        periods = read_periods(organization_id)
        for hour in its_hours:
            start = parse_time(hour.window_start)
            subscription = covering(links[organization_id].subscriptions, start)
            subscription_id = subscription.subscription_id if subscription is not None else None
            if settled_period_of(periods, start, hour.reported_to, subscription_id) is not None:
                settled.add(hour.key)
    return settled


def _is_of_an_open_period(hour: UsageHour, link: Link | None, now: datetime) -> bool:
    """Say whether an hour is surely of a period that has not ended, wherever a boundary's hour is billed."""
    if link is None or not link.subscriptions:
        return True  # nothing of it was ever invoiced
    try:
        start = parse_time(hour.window_start)
    except ValueError:
        return True  # it is refused
    subscription = covering(link.subscriptions, start)
    if subscription is None or subscription.begins_within(start) is not None:
        return False
    period = subscription.period_of(start)
    if period is None:
        return not subscription.period_starts  # nothing is known of them in a record from before they were remembered
    return period.ends_at is None or period.ends_at > now


def _read(table_name: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read items as DynamoDB has them: PynamoDB's models cost more for each than the rest of a run together."""
    wanted: Any = {table_name: {**request, "ConsistentRead": True}}
    items: list[dict[str, Any]] = []
    for _ in range(UNPROCESSED_ATTEMPTS):
        response: Any = client().batch_get_item(RequestItems=wanted)
        items += response["Responses"].get(table_name, ())
        wanted = response.get("UnprocessedKeys")
        if not wanted:
            return items
    raise UnavailableError(f"DynamoDB keeps leaving keys of {table_name} unread: it is throttled")


def _link(item: Mapping[str, Any]) -> Link:
    customer_id = item["stripe_customer_id"]["S"] if "stripe_customer_id" in item else None
    if "S" in item.get("metered_subscriptions", ()):
        subscriptions = from_text(item["metered_subscriptions"]["S"])
    else:
        subscriptions = _only_subscription(item, customer_id)
    return Link(
        customer_id,
        subscriptions,
        version=int(item["version"]["N"]) if "version" in item else None,
        thresholds=item.get("thresholds", {}).get("S", ""),
    )


def _only_subscription(item: Mapping[str, Any], customer_id: str | None) -> tuple[MeteredSubscription, ...]:
    """Return the subscription of a record from before records remembered what each subscription sells."""
    if customer_id is None or "stripe_subscription_id" not in item:
        return ()
    started_at = parse_time(item["started_at"]["S"]) if "started_at" in item else from_unix(0)
    ended_at = parse_time(item["ended_at"]["S"]) if "ended_at" in item else None
    return (MeteredSubscription(item["stripe_subscription_id"]["S"], customer_id, started_at, ended_at, ()),)


def _hour(item: Mapping[str, Any]) -> UsageHour:
    sending = item.get("sending")
    return UsageHour(
        organization_id=item["organization_id"]["S"],
        window_start=item["window_start"]["S"],
        counts={meter.event_name: item[meter.event_name] for meter in METERS if meter.event_name in item},
        version=int(item["version"]["N"]) if "version" in item else None,
        revision=int(item["revision"]["N"]) if "revision" in item else 0,
        reported=_numbers(item.get("reported")),
        reported_under=_numbers(item.get("reported_under")),
        reported_to=item["reported_to"]["S"] if "reported_to" in item else None,
        was_reported="reported_at" in item,
        sending=_numbers(sending) if sending else None,
        sending_since=item["sending_since"]["S"] if "sending_since" in item else "",
        doubt_until=item["doubt_until"]["S"] if "doubt_until" in item else "",
        others_until=item["others_until"]["S"] if "others_until" in item else "",
        stamped_from=item["stamped_from"]["S"] if "stamped_from" in item else "",
        carried=_numbers(item.get("carried")),
        held=_numbers(item.get("held")),
        reported_at=item["reported_at"].get("S", "") if "reported_at" in item else "",
        history=item["history"].get("S") if "history" in item else None,
        is_due="due_at" in item,
    )


def _numbers(attribute: Mapping[str, Any] | None) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in attribute["M"].items()} if attribute else {}
