"""What Stripe counted."""

from __future__ import annotations

from datetime import datetime

from billing.clock import from_unix
from billing.stripe_gateway.calls import StripeGateway


def hourly_summaries(
    gateway: StripeGateway, meter_id: str, customer_id: str, start: datetime, end: datetime
) -> dict[datetime, float]:
    """Return what Stripe counted for a customer by UTC hour; hours without usage may be left out.

    Raises:
        StripeNotFoundError: Stripe does not know the customer or the meter.
    Source: https://docs.stripe.com/api/billing/meter-event-summary/list
    """
    summaries = gateway.pages(
        f"/v1/billing/meters/{meter_id}/event_summaries",
        {
            "customer": customer_id,
            "start_time": int(start.timestamp()),
            "end_time": int(end.timestamp()),
            "value_grouping_window": "hour",
            "limit": 100,
        },
    )
    return {from_unix(summary["start_time"]): summary["aggregated_value"] for summary in summaries}
