"""An organisation that is billed by the month: what it counts, and what Stripe's final invoices bill it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from billing import clock, record_active_sensors, record_readings
from billing.clock import HOUR, format_time, from_unix, hour_of
from billing.tables.table import is_transient
from billing.tables.usage import UsageRecord, end_of, shard_of

if TYPE_CHECKING:
    from programs.local.stack import Stack
    from stripe_simulator import Delivery

READINGS, SENSORS = "temperature_readings", "active_sensors"
BEGIN = datetime(2026, 11, 23, 10, tzinfo=UTC)
MONTH_1, MONTH_2, MONTH_3, MONTH_4 = (
    BEGIN.replace(year=year, month=month) for year, month in ((2026, 12), (2027, 1), (2027, 2), (2027, 3))
)


def set_count(number: int, at: datetime) -> None:
    """Set an hour's readings as a writer of usage may."""
    window_start = format_time(at)
    UsageRecord("acme", window_start).update_if(
        [
            UsageRecord.temperature_readings.set(number),
            UsageRecord.due_shard.set(shard_of("acme")),
            UsageRecord.due_at.set(end_of(window_start)),
        ]
    )


class Life:
    """One organisation on the stack. `counted` is how many readings were recorded of it."""

    def __init__(self, stack: Stack, began: datetime, organization_id: str = "acme", *, trial_days: int = 0) -> None:
        self.stack, self.organization_id = stack, organization_id
        self.counted = 0
        self.failed: list[Delivery] = []
        stack.simulator.clock.set(began)
        self.subscribe(trial_days=trial_days)

    def subscribe(self, **options: Any) -> None:
        """Subscribe, perhaps once more, and have the webhooks delivered."""
        self.customer_id, self.subscription_id = self.stack.subscribe(self.organization_id, **options)
        self._deliver()

    def change_price(self, proration: str) -> None:
        """Give the readings another price, now; Stripe bills them until now at the old one, unless it is `none`."""
        account = self.stack.simulator.account
        items = account.subscriptions.objects[self.subscription_id]["items"]["data"]
        item = next(item for item in items if item["price"]["id"] == self.stack.prices[READINGS])
        recurring = {name: item["price"]["recurring"][name] for name in ("interval", "usage_type", "meter")}
        price = account.prices.create(
            {"product": item["price"]["product"], "currency": "eur", "unit_amount": "2", "recurring": recurring}
        )
        changes = {"items": [{"id": item["id"], "price": price["id"]}], "proration_behavior": proration}
        account.subscriptions.update(self.subscription_id, changes)
        self.stack.prices[READINGS] = price["id"]

    def count(self, number: int, at: datetime) -> None:
        """Record readings, now or in the past."""
        record_readings(self.organization_id, number, at)
        self.counted += number

    def sensors(self, number: int, at: datetime) -> None:
        """Record a number of sensors, now or in the past."""
        record_active_sensors(self.organization_id, number, at)

    def go_to(self, moment: datetime, *, runs: bool = True, webhooks: bool = True) -> None:
        """Let time pass: webhooks are delivered as they come, runs are at five past each hour that has anything due.

        The daily comparison is made on the days after a period's end.
        """
        while (now := clock.utc_now()) < moment:
            next_run = hour_of(now) + timedelta(minutes=5)
            next_run += HOUR if next_run <= now else timedelta()
            next_change = self.stack.simulator.account.next_change_at()
            times = [moment, *([from_unix(next_change)] if next_change is not None else [])]
            if runs and self.stack.due_hours():
                times.append(next_run)
            comparison = now.replace(hour=3, minute=35, second=0, microsecond=0)
            comparison += timedelta(days=1) if comparison <= now else timedelta()
            if runs and 23 <= comparison.day <= 28:
                times.append(comparison)
            step = min(time for time in times if time > now)
            self.stack.simulator.clock.set(step)
            if webhooks:
                self._deliver()
            try:
                if runs and step == next_run:
                    self.stack.meter()
                if runs and step == comparison:
                    self.stack.reconcile()
            except Exception as error:
                # The next one comes anyway.
                if not is_transient(error):
                    raise

    def _deliver(self) -> None:
        """Deliver what waits; what fails is delivered again with the next, as Stripe does for three days."""
        self.failed += self.stack.simulator.webhooks.take()
        for delivery in tuple(self.failed):
            # One at which the process dies stays among them.
            if self.stack.deliver(delivery).status == 200:
                self.failed.remove(delivery)

    def count_hourly(self, number: int, hours: int, *, runs: bool = True, webhooks: bool = True) -> None:
        """Count readings in the middle of some hours, one after the other."""
        for _ in range(hours):
            self.go_to(hour_of(clock.utc_now()) + timedelta(minutes=58), runs=runs, webhooks=webhooks)
            self.count(number, clock.utc_now())
            self.go_to(hour_of(clock.utc_now()) + HOUR, runs=runs, webhooks=webhooks)

    def invoiced(self, event_name: str = READINGS) -> int:
        """Return what Stripe's final invoices bill, to all customers that it has been."""
        billed = self.stack.simulator.account.invoices.billed
        return sum(billed(customer_id, event_name) for customer_id in self.stack.customers[self.organization_id])


def late_life(stack: Stack, until: datetime, organization_id: str = "acme", *, sensors: int = 0) -> Life:
    """Return a life of 360 readings (and perhaps sensors) that are invoiced, and 500 readings that came later."""
    life = Life(stack, BEGIN, organization_id)
    life.count(360, BEGIN)
    if sensors:
        life.sensors(sensors, BEGIN)
    life.go_to(MONTH_1 + 6 * HOUR)
    life.count(500, BEGIN + 30 * HOUR)
    life.go_to(until)
    return life
