"""Times as the tables write them: UTC, whole seconds, `2026-11-23T08:00:00Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def utc_now() -> datetime:
    """Return the present moment, with its time zone."""
    return datetime.now(UTC)


def format_time(moment: datetime) -> str:
    """Write a moment as the tables do; fractions of a second are cut off.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone could be any of 24 hours; give it one")
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def parse_time(text: str) -> datetime:
    """Read a time as the tables write it.

    Raises:
        ValueError: the text is not of the form `2026-11-23T08:00:00Z`.
    """
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)


def from_unix(seconds: float) -> datetime:
    """Return the moment that many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def hour_of(moment: datetime) -> datetime:
    """Return the start of the UTC hour that a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
