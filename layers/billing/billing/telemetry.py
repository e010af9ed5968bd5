"""The log and the metrics: every metric that the code emits is one line of `METRICS`.

Alarms and dashboard may name only what stands here (a test compares them with the template), and `count` refuses
anything else. All metrics have the namespace of `POWERTOOLS_METRICS_NAMESPACE`, which is the stack's own, and the
dimension `service`, set by `POWERTOOLS_SERVICE_NAME` of each function; some have one dimension more.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit, single_metric

from billing.errors import BillingError

NAMESPACE = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or "SensorBilling"


class MetricDefinition(NamedTuple):
    """Describe a metric: its unit, the name of its further dimension ("" for none), and what it counts."""

    unit: MetricUnit
    dimension: str
    meaning: str


_COUNT, _SECONDS = MetricUnit.Count, MetricUnit.Seconds

METRICS: Mapping[str, MetricDefinition] = MappingProxyType(
    {
        # service: ingestion
        "usage_events": MetricDefinition(_COUNT, "outcome", "usage events counted, duplicate, conflicting, left"),
        "usage_rejected": MetricDefinition(_COUNT, "reason", "usage events that are not counted, by reason"),
        # service: webhook
        "stripe_events": MetricDefinition(_COUNT, "outcome", "deliveries processed, by outcome"),
        "deliveries_rejected": MetricDefinition(_COUNT, "", "requests that are no genuine Stripe delivery (400)"),
        "deliveries_failed": MetricDefinition(_COUNT, "", "deliveries that failed with 500; Stripe sends them again"),
        "unknown_subscription": MetricDefinition(_COUNT, "", "events of a subscription that no organisation has"),
        "customer_conflict": MetricDefinition(_COUNT, "", "a customer that two organisations claim, or a buyer names"),
        "subscription_conflict": MetricDefinition(_COUNT, "", "two subscriptions that bill the same meter"),
        "foreign_events": MetricDefinition(_COUNT, "", "events of another Stripe account or mode; they change nothing"),
        "meter_error_reports": MetricDefinition(_COUNT, "", "asynchronous error reports of Stripe's meters"),
        "no_meter_found": MetricDefinition(_COUNT, "", "reports of events that no Stripe meter takes"),
        # services: webhook, metering, reconciliation
        "invoices_differing": MetricDefinition(_COUNT, "", "final invoices that are not what was counted"),
        "invoices_held": MetricDefinition(_COUNT, "reason", "drafts that wait for hours that are due, or could not"),
        "usage_not_invoiced": MetricDefinition(_COUNT, "", "units that were counted and no invoice will bill"),
        "numbers_missing": MetricDefinition(_COUNT, "", "meters without a number in a period, after one that had one"),
        "periods_damaged": MetricDefinition(_COUNT, "", "billing periods with an attribute that cannot be read"),
        # service: metering
        "runs_succeeded": MetricDefinition(
            _COUNT, "", "runs that did all they could, if only because nothing is set up yet"
        ),
        "runs_failed": MetricDefinition(_COUNT, "", "runs that raised, or had a shard that did"),
        "meter_misconfigured": MetricDefinition(_COUNT, "", "runs that refused to send because of a Stripe meter"),
        "hours_due": MetricDefinition(_COUNT, "", "due hours looked at"),
        "hours_settled": MetricDefinition(_COUNT, "", "hours whose totals Stripe accepted"),
        "hours_left": MetricDefinition(_COUNT, "", "hours looked at that stay due"),
        "hours_refused": MetricDefinition(_COUNT, "reason", "hours that cannot be billed, by reason"),
        "events_sent": MetricDefinition(_COUNT, "", "meter events that Stripe accepted"),
        "oldest_due_hour_age": MetricDefinition(_SECONDS, "", "age of the oldest due hour, 0 when none is due"),
        # service: reconciliation
        "hours_compared": MetricDefinition(_COUNT, "", "reported hours compared with Stripe's summaries"),
        "comparisons_failed": MetricDefinition(_COUNT, "", "organisations that could not be compared"),
        "drift_events": MetricDefinition(_COUNT, "", "meter hours in which Stripe counted something else"),
        "hours_repaired": MetricDefinition(_COUNT, "", "hours made due that no run would have sent"),
        "hours_damaged": MetricDefinition(_COUNT, "", "hours with an attribute that cannot be read"),
        "drift_units": MetricDefinition(_COUNT, "", "units by which they differ, added up regardless of sign"),
        # service: events
        "events_told": MetricDefinition(_COUNT, "event", "events that the bus took, by type"),
        "events_not_told": MetricDefinition(_COUNT, "", "events that the bus did not take at that attempt"),
        "changes_damaged": MetricDefinition(_COUNT, "", "changes of items that could not be read, or not as a whole"),
        "accesses_ended": MetricDefinition(_COUNT, "", "accesses that have ended without an event of Stripe's"),
        # service: api
        "api_errors": MetricDefinition(_COUNT, "status", "responses of the billing API that are errors"),
    }
)

logger = Logger()
_metrics = EphemeralMetrics(namespace=NAMESPACE)


def count(name: str, value: float = 1, dimension: str = "") -> None:
    """Add to a metric of `METRICS`; `dimension` is the value of its further dimension, where it has one.

    Raises:
        KeyError: no such metric: add it to `METRICS` first.
    """
    definition = METRICS[name]
    if definition.dimension:
        with single_metric(name=name, unit=definition.unit, value=value, namespace=NAMESPACE) as metric:
            metric.add_dimension(name=definition.dimension, value=dimension)
    else:
        _metrics.add_metric(name=name, unit=definition.unit, value=value)


def described(error: BaseException) -> dict[str, Any]:
    """Say in a log line's keys what an exception was and where it was raised, without what may be secret.

    The message is told only where it is one of ours: those of libraries quote what they were given, be it a header
    with the API key in it. Of those there are the types, AWS's codes, and the places in the code.
    """
    causes: list[str] = []
    codes: list[str] = []
    cause = error.__cause__ or error.__context__
    for each in (error, cause):
        response = getattr(each, "response", None) or getattr(getattr(each, "cause", None), "response", None)
        if isinstance(response, Mapping):
            codes.append(str(response.get("Error", {}).get("Code")))
    while cause is not None and len(causes) < 5:
        causes.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error_type": type(error).__name__,
        "error": str(error) if isinstance(error, BillingError) else None,
        "error_codes": codes,
        "error_causes": causes,
        "error_stack": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }


def flush() -> None:
    """Write the metrics counted since the last time to the log, in CloudWatch's embedded format.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format.html
    """
    # Powertools warns of having none, which is what most invocations of a quiet hour have.
    if _metrics.metric_set:
        _metrics.flush_metrics()
