"""What a request may ask for: the allowed prices, the allowed hosts, times that make sense."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from billing import clock
from billing.api.models import TIME_RULE
from billing.errors import InvalidRequestError

# On these a browser may be sent back without TLS: it is the developer's own machine.
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})
DEFAULT_RANGE = timedelta(days=7)
LONGEST_RANGE = timedelta(days=92)


def check_prices(price_ids: Sequence[str], allowed: Collection[str]) -> None:
    """Make sure that every price may be subscribed to, and none twice.

    Raises:
        InvalidRequestError: one may not.
    """
    refused = [price_id for price_id in price_ids if price_id not in allowed]
    if refused:
        raise InvalidRequestError("price_ids", f"{refused[0]} is not a price that may be subscribed to")
    if len(set(price_ids)) != len(price_ids):
        raise InvalidRequestError("price_ids", "A price is there twice")


def check_address(field: str, address: str, allowed_hosts: Collection[str]) -> None:
    """Make sure that a browser sent to this address arrives at one of the hosts, over TLS.

    Raises:
        InvalidRequestError: it would not, or nobody can say; the error names the field.
    """
    refusal = InvalidRequestError(field, "Must be an https address on an allowed host")
    # Browsers read a backslash as a slash and skip control characters: their host may be another than urlsplit's.
    if "\\" in address or not address.isprintable() or " " in address:
        raise refusal
    try:
        url = urlsplit(address)
        host, port = (url.hostname or "").lower(), url.port
    except ValueError:
        raise refusal from None
    if url.username is not None or url.password is not None:
        raise refusal
    if url.scheme != "https" and not (url.scheme == "http" and host in LOCAL_HOSTS):
        raise refusal
    if (host if port is None else f"{host}:{port}") not in allowed_hosts:
        raise refusal


def read_range(start: str | None, end: str | None) -> tuple[datetime, datetime]:
    """Return the range of hours that a request asks for: by default `DEFAULT_RANGE` before `end`, and `end` is now.

    The hour that `start` lies in belongs to the range.

    Raises:
        InvalidRequestError: a time that does not exist, or a range that is empty or longer than `LONGEST_RANGE`.
    """
    until = _time("end", end) if end is not None else _next_second(clock.utc_now())
    since = clock.hour_of(_time("start", start) if start is not None else until - DEFAULT_RANGE)
    if since >= until:
        raise InvalidRequestError("start", "Must lie before end")
    if until - since > LONGEST_RANGE + clock.HOUR:
        raise InvalidRequestError("start", f"Must lie at most {LONGEST_RANGE.days} days before end")
    return since, until


def _next_second(moment: datetime) -> datetime:
    """Return the first whole second that is not before a moment: times are written in whole seconds."""
    return moment + timedelta(microseconds=-moment.microsecond % 1_000_000)


def _time(field: str, text: str) -> datetime:
    try:
        moment = clock.parse_time(text)
    except ValueError:
        raise InvalidRequestError(field, TIME_RULE) from None
    if not 1970 <= moment.year < 9999:
        raise InvalidRequestError(field, "Must be a time of this era")
    return moment
