"""What was counted beside what Stripe counts, meter hour by meter hour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from billing import clock
from billing.meters import METERS
from billing.tables.usage import hours_between
from stripe_simulator import Simulator


@dataclass(frozen=True, slots=True)
class BilledHour:
    """What was counted in one hour for one meter, beside what Stripe counts."""

    organization_id: str
    event_name: str
    window_start: str
    counted: int
    at_stripe: int


def billed_hours(
    simulator: Simulator, organization_id: str, customers: Iterable[str], start: datetime, end: datetime
) -> Iterator[BilledHour]:
    """Yield every meter hour of an organisation: what was counted, and what Stripe counts at its customers."""
    items = {item.window_start: item for item in hours_between(organization_id, start, end)}
    for meter in METERS:
        at_stripe: dict[str, int] = {}
        for customer_id in customers:
            for seconds, value in simulator.account.hourly(customer_id, meter.event_name).items():
                window_start = clock.format_time(clock.from_unix(seconds))
                at_stripe[window_start] = at_stripe.get(window_start, 0) + value
        for window_start in sorted(items.keys() | at_stripe.keys()):
            item = items.get(window_start)
            counted = max(0, int(item.counted(meter.event_name) or 0)) if item is not None else 0
            yield BilledHour(organization_id, meter.event_name, window_start, counted, at_stripe.get(window_start, 0))
