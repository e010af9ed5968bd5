"""The body of a queue's message, and the values in it that are to be usage events. Nothing here does I/O."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any, NamedTuple

from billing.ingestion.events import RejectedUsageError, UsageEvent, read_event
from billing.ingestion.rejected import as_rejected, read_rejected

# CloudEvents' batch is a JSON list: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
LARGEST_LIST = 100
# Of a whole number's digits: Python reads no more than 4300, and takes the longer the more there are.
MOST_DIGITS = 400


class Arrival(NamedTuple):
    """A value that came in a message: as it came, and as an event, or why it is none."""

    message_id: str
    value: Any
    event: UsageEvent | RejectedUsageError


def read_message(message_id: str, body: str, now: datetime) -> list[Arrival]:
    """Return what a message brought, in order; whatever its body is, nothing is raised."""
    try:
        values = _values(body)
    except RejectedUsageError as error:
        letter = read_rejected(body)
        return [Arrival(message_id, body if letter is None else letter.event, error)]
    return [Arrival(message_id, value, _event(value, now)) for value in values]


def _values(body: str) -> list[Any]:
    value = _json(body)
    letter = as_rejected(value)
    if letter is not None:
        # Put back as it is, by AWS's own redrive: what was rejected is tried again, and not wrapped twice.
        value = _json(letter.event) if isinstance(letter.event, str) else letter.event
    if isinstance(value, list):
        if len(value) > LARGEST_LIST:
            raise RejectedUsageError("too_many", f"It is a list of {len(value)} events; a message takes {LARGEST_LIST}")
        return [_out_of_envelope(each) for each in value]
    return [_out_of_envelope(value)]


def _out_of_envelope(value: Any) -> Any:
    """Return what an EventBridge rule wraps; anything else is returned as it is.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
    """
    if isinstance(value, dict) and "specversion" not in value and "detail-type" in value:
        detail = value.get("detail")
        return detail if isinstance(detail, dict) else value
    return value


def _json(body: str) -> Any:
    """Read JSON, also in base64, as an IoT rule writes it with `useBase64`: no JSON object or list begins as base64."""
    text = body.strip()
    try:
        if not text.startswith(("{", "[")):
            text = base64.b64decode(text, validate=True).decode()
        return _parsed(text)
    except (ValueError, binascii.Error, RecursionError):
        raise RejectedUsageError("not_json", "The message is no JSON object, and no JSON list of objects") from None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # A number longer than Python reads: it costs its own event only.
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < MOST_DIGITS else float(digits))


def _event(value: Any, now: datetime) -> UsageEvent | RejectedUsageError:
    try:
        return read_event(value, now)
    except RejectedUsageError as error:
        return error
