"""The limits of those organisations that have any: looked at with their due hours, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from billing.metering.hour import Key, Link, UsageHour
from billing.tables.table import is_transient
from billing.thresholds.watching import note_reached


def note_limits(
    hours: Sequence[UsageHour], links: Mapping[str, Link], now: datetime
) -> Iterator[tuple[Key, Exception]]:
    """Note which limits are reached; yield what could not be looked at: it must not keep an hour from being billed.

    Raises:
        Exception: DynamoDB cannot be reached. The hours are still due, so that the next run does it again.
    """
    for organization_id in sorted(key for key, link in links.items() if link.thresholds):
        link = links[organization_id]
        starts = [hour.window_start for hour in hours if hour.organization_id == organization_id]
        try:
            note_reached(organization_id, link.thresholds, link.subscriptions, starts, now)
        except Exception as error:
            if is_transient(error):
                raise
            yield (organization_id, starts[0]), error
