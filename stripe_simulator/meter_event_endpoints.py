"""The endpoints that take usage: v1 one by one, v2 one by one, the v2 stream, and adjustments.

The checks are the same; v1 refuses by message, v2 by code, the stream later in an error report.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from stripe_simulator.clock import rfc3339
from stripe_simulator.errors import ApiError, invalid_parameter, missing_parameter
from stripe_simulator.meter_events import RejectedMeterEventError
from stripe_simulator.parameters import integer, mapping, required, text

if TYPE_CHECKING:
    from stripe_simulator.resources import StripeObject
    from stripe_simulator.routes import Call

MOST_STREAM_EVENTS = 100
CANCEL_SECONDS = 24 * 3600
_V2_CODES = {
    "meter_event_invalid_value": "payload_invalid_value",
    "meter_event_value_too_many_digits": "payload_invalid_value",
    "meter_event_no_customer_defined": "payload_no_customer_defined",
    "meter_event_value_not_found": "payload_no_value_defined",
}


def create_event(call: Call) -> StripeObject:
    """Respond to `POST /v1/billing/meter_events`.

    Raises:
        ApiError: 400; for a duplicate with `stripe-should-retry: false` and, by default, no code.
    """
    params = call.params
    event_name = required(params, "event_name")
    payload = params.get("payload")
    if not isinstance(payload, dict):
        raise missing_parameter("payload")
    account = call.account
    try:
        event = account.meter_events.ingest(
            event_name, payload, text(params, "identifier"), integer(params, "timestamp")
        )
    except RejectedMeterEventError as exc:
        code, headers = None, {}
        if exc.code == "duplicate_meter_event":
            code, headers = account.settings.duplicate_code, {"stripe-should-retry": "false"}
        elif exc.code == "meter_event_customer_not_found":
            code = "resource_missing"
        raise ApiError(400, exc.message, code=code, param=exc.param, headers=headers, saved=True) from exc
    return {
        "object": "billing.meter_event",
        "created": int(event.received_at),
        "event_name": event_name,
        "identifier": event.identifier,
        "livemode": call.livemode,
        "payload": payload,
        "timestamp": event.timestamp,
    }


def create_event_v2(call: Call) -> StripeObject:
    """Respond to `POST /v2/billing/meter_events`.

    Raises:
        ApiError: 400 with v2's codes, such as `duplicate_meter_event`.
    """
    params = call.params
    event_name, payload = required(params, "event_name"), _payload(params)
    try:
        event = call.account.meter_events.ingest(event_name, payload, text(params, "identifier"), _timestamp(params))
    except RejectedMeterEventError as exc:
        raise ApiError(400, exc.message, code=_V2_CODES.get(exc.code, exc.code)) from exc
    return {
        "object": "v2.billing.meter_event",
        "created": rfc3339(event.received_at),
        "event_name": event_name,
        "identifier": event.identifier,
        "livemode": call.livemode,
        "payload": payload,
        "timestamp": rfc3339(event.timestamp),
    }


def stream_events(call: Call) -> StripeObject:
    """Respond to `POST /v2/billing/meter_event_stream`: with an empty object, whatever the events are worth.

    A bad event turns up in an error report. A duplicate is dropped, or reported where
    `Settings.stream_duplicates` says so.

    Raises:
        ApiError: 400 for a request that is not well formed, with more than 100 events or none.
    """
    events = call.params.get("events")
    if not isinstance(events, list) or not events:
        raise missing_parameter("events")
    if len(events) > MOST_STREAM_EVENTS:
        raise invalid_parameter("events", f"events must have at most {MOST_STREAM_EVENTS} items", "invalid_fields")
    checked = []
    for event in events:
        if not isinstance(event, dict) or not isinstance(event.get("event_name"), str):
            raise invalid_parameter("events", "Each event needs an event_name", "invalid_fields")
        checked.append((event["event_name"], _payload(event), text(event, "identifier"), _timestamp(event)))
    account = call.account
    report_duplicates = account.settings.stream_duplicates == "reported"
    for event_name, payload, identifier, timestamp in checked:
        try:
            account.meter_events.ingest(event_name, payload, identifier, timestamp)
        except RejectedMeterEventError as exc:
            if exc.code != "duplicate_meter_event" or report_duplicates:
                account.error_reports.add(event_name, identifier, exc)
    account.error_reports.batch_done()
    return {}


def _payload(event: dict[str, Any]) -> dict[str, str]:
    payload = event.get("payload")
    if not isinstance(payload, dict):
        raise missing_parameter("payload")
    for key, value in payload.items():
        if not isinstance(value, str):
            raise invalid_parameter(f"payload[{key}]", f"payload[{key}] must be a string", "invalid_fields")
    return payload


def _timestamp(event: dict[str, Any]) -> int | None:
    value = event.get("timestamp")
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid_parameter("timestamp", "timestamp must be an RFC 3339 date and time", "invalid_fields")
    return int(moment.timestamp())


def create_adjustment(call: Call) -> StripeObject:
    """Respond to `POST /v1/billing/meter_event_adjustments`: cancel an event by its identifier.

    Raises:
        ApiError: 400 for an unknown event, one received more than 24 hours ago, or one on a final invoice.
    """
    params = call.params
    event_name = str(required(params, "event_name"))
    if required(params, "type") != "cancel":
        raise invalid_parameter("type", "Invalid type: must be cancel")
    identifier = str(required(mapping(params, "cancel"), "identifier"))
    account = call.account
    event = account.meter_events.find(identifier)
    if event is None or event.event_name != event_name or event.cancelled:
        raise ApiError(
            400, f"No meter event found with identifier {identifier}.", param="cancel[identifier]", saved=True
        )
    if event.received_at < account.now() - CANCEL_SECONDS:
        raise ApiError(400, "Meter events can only be cancelled within 24 hours of Stripe receiving them.", saved=True)
    if account.invoices.is_final(event.customer, event.timestamp):
        raise ApiError(400, "The meter event is on an invoice that has been finalized.", saved=True)
    event.cancelled = True
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": event_name,
        "livemode": call.livemode,
        "status": "pending",
        "type": "cancel",
    }


def create_adjustment_v2(call: Call) -> StripeObject:
    """Respond to `POST /v2/billing/meter_event_adjustments`, by the same rules as v1's."""
    return {
        **create_adjustment(call),
        "id": call.account.new_id("mea", 24),
        "object": "v2.billing.meter_event_adjustment",
        "created": rfc3339(call.account.now()),
    }
