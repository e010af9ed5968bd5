"""Usage billing on Stripe, in three flows.

Arriving: usage events come by a queue, each once however often → `ingestion.invocation` → counted in their hours.
In:  Stripe's webhook → `webhooks.delivery` → the subscription is fetched from Stripe and stored, with the event's
     record, in one transaction.
Out: usage is recorded (`usage.recording`); the hourly schedule → `metering.run` → due hours are declared, sent to
     Stripe's meters as totals, and settled. Daily, `reconciliation` compares what Stripe counted, and makes the hours
     that differ due again.

Other code on the layer records and reports usage, and asks who may use the service, with what this module exports.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing.access.reading import may_use
    from billing.access.rule import Access
    from billing.ingestion.sending import Usage, UsageEvents
    from billing.metering.service import ReportResult, StripeMeterService, get_stripe_meter_service
    from billing.usage.recording import record_active_sensors, record_readings, record_usage

__all__ = [
    "Access",
    "ReportResult",
    "StripeMeterService",
    "Usage",
    "UsageEvents",
    "get_stripe_meter_service",
    "may_use",
    "record_active_sensors",
    "record_readings",
    "record_usage",
]

_MODULES = {
    **dict.fromkeys(("Usage", "UsageEvents"), "billing.ingestion.sending"),
    **dict.fromkeys(("record_active_sensors", "record_readings", "record_usage"), "billing.usage.recording"),
    "Access": "billing.access.rule",
    "may_use": "billing.access.reading",
    "record_active_sensors": "billing.usage.recording",
    "record_readings": "billing.usage.recording",
    "record_usage": "billing.usage.recording",
}


def __getattr__(name: str) -> Any:
    """Import the exported names on first use: most of them need no Stripe."""
    if name in __all__:
        return getattr(import_module(_MODULES.get(name, "billing.metering.service")), name)
    raise AttributeError(f"module 'billing' has no attribute {name!r}")
