"""What Stripe's meters report, later, about events that they first took.

A report names a few of the rejected events as samples. The hours they name are marked at once; the others of that
meter are found by comparing what Stripe counted with what was reported.
Source: https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from billing import clock
from billing.comparison_requests import request_comparison
from billing.errors import ContentionError, StripeNotFoundError
from billing.metering.plan import NamedTotal, parse_identifier
from billing.meters import METERS
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.events import retrieve_thin_event
from billing.stripe_gateway.objects import id_of
from billing.tables.stripe_events import StripeEventRecord, record_event
from billing.tables.usage import UsageRecord, make_unreported_due, refuse_reported
from billing.telemetry import count, logger
from billing.webhooks.decision import CLOCK_TOLERANCE
from billing.webhooks.events import NO_METER_FOUND, StripeEvent

# What no resend of the same total cures. All other codes, also ones that Stripe adds later, leave the hour due: the
# meter or the clock has to change, and then the next run succeeds.
REFUSED_FOR_GOOD = frozenset(
    {
        "meter_event_customer_not_found",
        "meter_event_dimension_count_too_high",
        "meter_event_invalid_value",
        "meter_event_no_customer_defined",
        "meter_event_value_not_found",
        "meter_event_value_too_many_digits",
        "missing_dimension_payload_keys",
        "timestamp_too_far_in_past",
    }
)
# A run may write the hour between its read and its mark.
MARK_ATTEMPTS = 5
# DynamoDB's items end at 400 KB; a report is a few KB.
LONGEST_REPORT = 100_000


def process_meter_errors(event: StripeEvent, gateway: StripeGateway) -> Literal["processed", "duplicate"]:
    """Mark the hours that a report names, have the rest of that meter compared, and store the report.

    Everything here can be done twice: the event's record comes last, so that a delivery which dies is done again.
    """
    if StripeEventRecord.recorded(event.event_id):
        return "duplicate"
    report = _report(event, gateway)
    count("no_meter_found" if event.event_type == NO_METER_FOUND else "meter_error_reports")
    for code, total in _samples(report):
        _mark(code, total)
    meter_id = id_of(event.subject)
    logger.error(
        "Stripe reports meter events that it could not count",
        extra={"stripe_event_id": event.event_id, "stripe_meter_id": meter_id, "codes": _codes(report)},
    )
    # A report of events that no meter takes names no meter: all of them are compared.
    request_comparison(None if event.event_type == NO_METER_FOUND else meter_id, _reported_since(report))
    now = clock.utc_now()
    record = StripeEventRecord.made(event.event_id, event.event_type, event.created, "processed", None, now)
    record.report = json.dumps(report, default=str)[:LONGEST_REPORT]
    return "processed" if record_event(record) else "duplicate"


def _report(event: StripeEvent, gateway: StripeGateway) -> Mapping[str, Any]:
    try:
        data = retrieve_thin_event(gateway, event.event_id).get("data")
    except StripeNotFoundError:
        # Older than 30 days: Stripe no longer has it; the comparison finds what it told.
        data = None
    return data if isinstance(data, Mapping) else {}


def _error_types(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    reason = report.get("reason")
    error_types = reason.get("error_types") if isinstance(reason, Mapping) else None
    return [each for each in error_types or () if isinstance(each, Mapping)] if isinstance(error_types, list) else []


def _codes(report: Mapping[str, Any]) -> dict[str, Any]:
    return {str(each.get("code")): each.get("error_count") for each in _error_types(report)}


def _reported_since(report: Mapping[str, Any]) -> datetime | None:
    """Return since when the hours may have been reported whose events Stripe rejected; None where it does not say."""
    try:
        start = datetime.fromisoformat(report["validation_start"])
        return start.astimezone(UTC) - CLOCK_TOLERANCE if start.tzinfo else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _samples(report: Mapping[str, Any]) -> Iterator[tuple[str, NamedTotal]]:
    event_names = {meter.event_name for meter in METERS}
    for error_type in _error_types(report):
        samples = error_type.get("sample_errors")
        for sample in samples if isinstance(samples, list) else ():
            request = sample.get("request") if isinstance(sample, Mapping) else None
            identifier = request.get("identifier") if isinstance(request, Mapping) else None
            total = parse_identifier(identifier) if isinstance(identifier, str) else None
            if total is not None and total.organization_id and total.event_name in event_names:
                yield str(error_type.get("code")), total


def _mark(code: str, total: NamedTotal) -> None:
    for _ in range(MARK_ATTEMPTS):
        try:
            hour = UsageRecord.get(total.organization_id, total.window_start, consistent_read=True)
        except UsageRecord.DoesNotExist:
            return
        if hour.damaged or not _is_newest(total, hour):
            # A comparison tells of a damaged hour every day.
            return
        reason = f"{code}: Stripe rejected {total.event_name} after taking it"
        if code in REFUSED_FOR_GOOD and refuse_reported(hour, total.event_name, reason):
            count("hours_refused", dimension=code)
            return
        # What another try may cure; and an hour that is due, of which a run might otherwise not send this meter again.
        if make_unreported_due(hour):
            return
    raise ContentionError(f"The hour {total.window_start} of {total.organization_id} was being written by others")


def _is_newest(total: NamedTotal, hour: UsageRecord) -> bool:
    """Say whether Stripe was told nothing newer of this meter: a later revision may have told another meter only."""
    reported_under = hour.reported_under or {}
    return total.revision in (hour.revision, reported_under.get(total.event_name, hour.revision))
