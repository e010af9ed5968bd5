"""Scheduled event or queue message in, comparison summary out: what Stripe counted against what was reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from billing import telemetry
from billing.reconciliation.invocation import carry_out
from billing.reconciliation.requests import enqueue, read_request
from billing.settings import reconciliation_queue_url
from billing.time_limit import may_continue


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Enqueue a request in parts, or carry it out where there is no queue; process the queue's messages.

    A request may have `start`, `end` (whole UTC hours, `2026-11-23T08:00:00Z`), `meter_id` and `segment`; without
    them all closed hours of the past days are compared.

    Raises:
        BillingError: the request cannot be understood, or Stripe's meters cannot be read.
    """
    try:
        if isinstance(event, Mapping) and "Records" in event:
            return _process_messages(event, context)
        request = read_request(event if isinstance(event, Mapping) else {})
        if reconciliation_queue_url():
            return {"enqueued": enqueue(request)}
        return carry_out(request, may_continue(context)).as_dict()
    finally:
        telemetry.flush()


def _process_messages(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    def carry_out_message(record: SQSRecord) -> None:
        carry_out(read_request(record.json_body), may_continue(context))

    response: Any = process_partial_response(dict(event), carry_out_message, BatchProcessor(EventType.SQS), context)
    return dict(response)
