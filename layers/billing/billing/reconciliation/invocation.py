"""A comparison as a function's invocation: within its time limit, on the real Stripe, with its metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from billing import clock
from billing.comparison_requests import ComparisonRequest, enqueue, read_request
from billing.errors import ConfigurationError
from billing.meters import METERS
from billing.rate_limit import RateLimit
from billing.reconciliation.comparison import Comparison, ComparisonSummary
from billing.reconciliation.findings import Finding
from billing.settings import reconciliation_calls_per_second, reconciliation_queue_url
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.stripe_gateway.meters import list_meters
from billing.stripe_secrets import secrets_reader
from billing.tables.subscriptions import subscriptions_in_segment
from billing.telemetry import count, logger


def carry_out(
    request: ComparisonRequest,
    may_continue: Callable[[], bool] = lambda: True,
    *,
    dry_run: bool = False,
    tell: Callable[[Finding], None] = lambda finding: None,
) -> ComparisonSummary:
    """Compare what the request asks for, make due what differs, and emit the metrics; `tell` hears of each finding.

    What is left when the time runs out goes back to the queue, where there is one.

    Raises:
        ConfigurationError: none of the meters exists in Stripe.
        StripeUnavailableError: the meters could not be read.
    """
    gateway = stripe_gateway()
    comparison = Comparison(
        gateway,
        _meter_ids(gateway, request.meter_id),
        request.start,
        request.end,
        request.reported_since,
        clock.utc_now(),
        RateLimit(reconciliation_calls_per_second(secrets_reader().current().api_key)),
        dry_run,
        tell,
    )
    last = comparison.compare_all(subscriptions_in_segment(request.segment, after=request.after), may_continue)
    summary = comparison.summary
    if not summary.complete and reconciliation_queue_url():
        enqueue(replace(request, after=last or request.after))
    count("hours_compared", summary.hours)
    count("hours_repaired", summary.repaired)
    count("hours_damaged", summary.damaged)
    count("comparisons_failed", summary.failures)
    count("drift_events", summary.drift_events)
    count("drift_units", summary.drift_units)
    logger.info("Comparison ended", extra=summary.as_dict())
    return summary


def process_messages(event: Any, context: Any, may_continue: Callable[[], bool]) -> dict[str, Any]:
    """Carry out the requests of a batch of messages, or enqueue again those that come too early.

    Returns:
        Which messages are to come again, as AWS Lambda takes it from a function with `ReportBatchItemFailures`.
    """

    def process(record: SQSRecord) -> None:
        request = read_request(record.json_body)
        if request.delay(clock.utc_now()):
            enqueue(request)
        else:
            carry_out(request, may_continue)

    response: Any = process_partial_response(event, process, BatchProcessor(EventType.SQS), context)
    return dict(response)


def _meter_ids(gateway: StripeGateway, only: str | None) -> dict[str, str]:
    ours = {meter.event_name for meter in METERS}
    found = {
        meter.event_name: meter.meter_id
        for meter in list_meters(gateway)
        if meter.event_name in ours and meter.status == "active" and only in (None, meter.meter_id)
    }
    if not found and only is None:
        raise ConfigurationError("None of the meters is active in this Stripe account: provision them")
    return found
