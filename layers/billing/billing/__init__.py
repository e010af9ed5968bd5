"""Usage billing on Stripe, in two flows.

In:  Stripe's webhook → `webhooks.delivery` → the subscription is fetched from Stripe and stored, with the event's
     record, in one transaction.
Out: the hourly schedule → `metering.run` → due hours are declared, sent to Stripe's meters as totals, and settled.
     Daily, `reconciliation` compares what Stripe counted, and makes the hours that differ due again.

Other code on the layer records and reports usage with what this module exports.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing.metering.service import (
        ReportResult,
        StripeMeterService,
        get_stripe_meter_service,
        record_active_sensors,
        record_readings,
    )

__all__ = [
    "ReportResult",
    "StripeMeterService",
    "get_stripe_meter_service",
    "record_active_sensors",
    "record_readings",
]


def __getattr__(name: str) -> Any:
    """Import the exported names on first use: a function that needs none of them starts without their imports."""
    if name in __all__:
        from billing.metering import service

        return getattr(service, name)
    raise AttributeError(f"module 'billing' has no attribute {name!r}")
