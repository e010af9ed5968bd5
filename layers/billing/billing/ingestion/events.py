"""A usage event as it comes (a CloudEvent 1.0), and as a value; or the reason why it is none. Nothing here does I/O.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from billing.errors import RefusedError
from billing.meters import METERS, Meter
from billing.organizations import ORGANIZATION_ID, is_organization_id
from billing.stripe_limits import FUTURE_USAGE, LARGEST_VALUE, OLDEST_USAGE

# Why an event is not counted, as the metric's dimension, the dead letter and docs/ingestion.md have it.
Code = Literal[
    "not_json",
    "too_many",
    "not_a_cloud_event",
    "bad_identity",
    "no_such_meter",
    "bad_organization",
    "bad_time",
    "no_zone",
    "in_the_future",
    "too_old",
    "no_value",
    "not_whole",
    "not_above_zero",
    "below_zero",
    "too_large",
    "hour_damaged",
    "hour_full",
]
CODES: tuple[Code, ...] = get_args(Code)

METERS_BY_NAME = {meter.event_name: meter for meter in METERS}
# A moment of RFC 3339 (CloudEvents' Timestamp), of which the zone may be missing; Python's own parser takes more forms.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?([Zz]|[+-][0-2][0-9]:[0-5][0-9])?"
)


class RejectedUsageError(RefusedError):
    """Usage that will never be counted as it is: `code` for metrics and filters, the text for a person."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One usage event: an increment of a `sum` meter, or the number that a `last` meter had at a moment.

    `source` and `id` are its identity, wherever else it comes from; `time` is in UTC.
    """

    source: str
    id: str
    organization_id: str
    meter: Meter
    time: datetime
    value: int

    @property
    def window_start(self) -> str:
        """Return the start of the hour in which it is counted."""
        return f"{self.time.isoformat()[:13]}:00:00Z"

    @property
    def content(self) -> str:
        """Return what it says, as one text: another text under the same identity is another event."""
        return f"{self.value} {self.meter.event_name} {self.time.isoformat()} {self.organization_id}"


def read_event(value: object, now: datetime) -> UsageEvent:
    """Return the usage event that a JSON value is.

    Raises:
        RejectedUsageError: it is none, or none that can be counted `now`.
    """
    if not isinstance(value, dict) or value.get("specversion") != "1.0":
        raise RejectedUsageError("not_a_cloud_event", 'It is no JSON object with a "specversion" of "1.0"')
    source, event_id = value.get("source"), value.get("id")
    if not _is_text(source) or not _is_text(event_id):
        raise RejectedUsageError("bad_identity", 'Its "source" and its "id" must both be a text that is not empty')
    meter = _meter(value.get("type"))
    organization_id = value.get("subject")
    if not is_organization_id(organization_id):
        raise RejectedUsageError(
            "bad_organization", f'Its "subject" must be an organisation\'s id, which matches {ORGANIZATION_ID}'
        )
    return UsageEvent(
        str(source), str(event_id), organization_id, meter, _time(value.get("time"), now), _value(value, meter)
    )


def _is_text(value: object) -> bool:
    """Say whether a value is a text that can be stored: half a pair of surrogates has no UTF-8."""
    return isinstance(value, str) and value != "" and (value.isascii() or not re.search("[\ud800-\udfff]", value))


def _meter(name: object) -> Meter:
    meter = METERS_BY_NAME.get(name) if isinstance(name, str) else None
    if meter is None:
        raise RejectedUsageError("no_such_meter", f'Its "type" must be a meter: {", ".join(METERS_BY_NAME)}')
    return meter


def _time(text: object, now: datetime) -> datetime:
    match = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise RejectedUsageError("bad_time", 'Its "time" must be like "2026-11-23T08:10:00Z"')
    if match[1] is None:
        raise RejectedUsageError("no_zone", 'Its "time" has no zone ("Z", "+01:00"): any of 24 hours could be meant')
    try:
        time = datetime.fromisoformat(match[0].upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RejectedUsageError("bad_time", 'Its "time" is no moment there is') from None
    if time > now + FUTURE_USAGE:
        raise RejectedUsageError("in_the_future", 'Its "time" lies more than five minutes in the future')
    if time < now - OLDEST_USAGE:
        raise RejectedUsageError("too_old", 'Its "time" lies more than 35 days back: Stripe takes no usage that old')
    return time


def _value(event: dict[str, object], meter: Meter) -> int:
    data = event.get("data")
    value = data.get("value") if isinstance(data, dict) else None
    if not isinstance(value, (int, float)) or value is True or value is False:
        raise RejectedUsageError("no_value", 'Its "data" must be an object with a number as "value"')
    if not -LARGEST_VALUE <= value <= LARGEST_VALUE:  # not a number is neither
        raise RejectedUsageError("too_large", 'Its "value" has more than 15 digits, which Stripe refuses')
    if value != int(value):
        raise RejectedUsageError("not_whole", 'Its "value" must be a whole number')
    if meter.formula == "sum" and value <= 0:
        raise RejectedUsageError("not_above_zero", f'Its "value" is an increment of {meter.event_name}: above zero')
    if value < 0:
        raise RejectedUsageError("below_zero", f'Its "value" is the number of {meter.event_name}: not below zero')
    return int(value)
