"""The day: who subscribes, what the sensors report, and everything that goes wrong on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from billing import clock, record_active_sensors, record_readings
from billing.metering import writes as hour_writes
from programs.demo.records import hourly_temperatures, readings
from programs.local.stack import Stack
from stripe_simulator import Delivery

DAY = datetime(2026, 11, 2, tzinfo=UTC)
MIDNIGHT = DAY + timedelta(days=1)
RECORDED_DAY = "2010/06/16"


@dataclass(slots=True)
class Organization:
    """Hold an organisation and what its sensors really did: the demo's own book, kept apart from the stack's tables.

    `used` counts readings by hour; `active` is the number of active sensors by hour. `billable_from` and
    `billable_until` bound the hours that Stripe may bill.
    """

    organization_id: str
    city: str
    sensors: int
    customer_id: str | None = None
    subscription_id: str | None = None
    ended_at: datetime | None = None
    used: Counter[int] = field(default_factory=Counter)
    active: dict[int, int] = field(default_factory=dict)

    def billable(self, hour: int) -> bool:
        """Say whether an hour lies within the subscription."""
        if self.customer_id is None:
            return False
        return self.ended_at is None or DAY + timedelta(hours=hour) < self.ended_at


class Killed(BaseException):
    """Be what ends a run in the middle, as a time-out of Lambda does."""


class Day:
    """Live through the day; `say` prints what happens."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        self.stack = stack
        self.say = say
        self.organizations = [
            Organization("seattle-cold-store", "seattle", 12),
            Organization("pike-fish-market", "seattle", 5),
            Organization("bay-vineyards", "sf", 8),
            Organization("golden-gate-labs", "sf", 20),
            Organization("mission-popup", "sf", 3),
        ]
        self.by_id = {each.organization_id: each for each in self.organizations}
        self.temperatures = {city: hourly_temperatures(city, RECORDED_DAY) for city in ("seattle", "sf")}
        self.held_back: list[Delivery] = []
        self.later: list[tuple[str, datetime, int]] = []
        self.totals: Counter[str] = Counter()

    def live(self) -> None:
        """Let 24 hours pass, with everything that goes wrong in them, and the run after them."""
        self._subscribe()
        for hour in range(24):
            self._use(hour)
            self._go_to(hour + 1, 5)
            self._incidents_before(hour + 1)
            self._schedule(hour + 1)

    def _go_to(self, hour: int, minute: int) -> None:
        self.stack.simulator.clock.set(DAY + timedelta(hours=hour, minutes=minute))

    def _time(self) -> str:
        moment = clock.utc_now()
        return f"{moment:%H:%M}" if moment < MIDNIGHT else f"{moment:%H:%M} (next day)"

    def _tell(self, text: str) -> None:
        self.say(f"  {self._time():<17}{text}")

    # --- in

    def _subscribe(self) -> None:
        self.stack.simulator.clock.set(DAY)
        for organization in self.organizations[:3]:
            subscribed = self.stack.subscribe_through_api(organization.organization_id)
            organization.customer_id, organization.subscription_id = subscribed
            what = f"{organization.organization_id} subscribes through the billing API"
            self._deliver(self.stack.simulator.webhooks.take(), what)
        late = self.by_id["golden-gate-labs"]
        late.customer_id, late.subscription_id = self.stack.subscribe(late.organization_id)
        self.held_back = self.stack.simulator.webhooks.take()
        self._tell(
            f"{late.organization_id} subscribes by a payment link; its {len(self.held_back)} webhooks are held up"
        )
        self._tell("mission-popup uses sensors and never subscribes")

    def _deliver(self, deliveries: list[Delivery], what: str) -> None:
        outcomes = Counter(answer.outcome or str(answer.status) for answer in self.stack.deliver_all(deliveries))
        self._tell(f"{what}: {_listed(outcomes)}")

    # --- usage

    def _use(self, hour: int) -> None:
        start = DAY + timedelta(hours=hour)
        for organization in self.organizations:
            sensors = [f"{organization.organization_id}-{number}" for number in range(organization.sensors)]
            if organization.organization_id == "seattle-cold-store" and hour == 8:
                # Two sensors are counted that were taken down: corrected at 13:05.
                self._count_sensors(organization, hour, organization.sensors + 2)
            else:
                self._count_sensors(organization, hour, organization.sensors)
            taken = list(readings(sensors, self.temperatures[organization.city], DAY, hour))
            if organization.organization_id == "pike-fish-market" and hour == 4:
                # A gateway without a connection keeps half of them until 11:30.
                late = taken[::2]
                taken = taken[1::2]
                self.later = [(organization.organization_id, reading.taken_at, 1) for reading in late]
            self.stack.simulator.clock.set(start + timedelta(minutes=59))
            for moment, number in Counter(clock.hour_of(reading.taken_at) for reading in taken).items():
                record_readings(organization.organization_id, number, moment)
                organization.used[hour] += number

    def _count_sensors(self, organization: Organization, hour: int, number: int) -> None:
        organization.active[hour] = number
        self.stack.simulator.clock.set(DAY + timedelta(hours=hour, minutes=59))
        record_active_sensors(organization.organization_id, number, DAY + timedelta(hours=hour))

    # --- what goes wrong

    def _incidents_before(self, hour: int) -> None:
        faults = self.stack.simulator.faults
        if hour == 3:
            self._deliver(self.held_back, "golden-gate-labs' webhooks arrive, three hours late")
        if hour == 5:
            faults.add("http_500", "/v1/billing/meter_events", share=0.3, seed=5)
            faults.add("cut_after_effect", "/v1/billing/meter_events", share=0.2, seed=6)
            faults.add("http_429", "/v1/billing/meter_events", share=0.1, seed=7)
            self._tell("Stripe begins to fail: 500s, cut connections, rate limits")
        if hour == 10:
            faults.clear()
            faults.add("http_503", "/v1/billing/meter_events")
            self._tell("Stripe takes no meter events at all")
        if hour == 11:
            faults.clear()
            self._tell("Stripe is well again")
        if hour == 12:
            for organization_id, taken_at, number in self.later:
                record_readings(organization_id, number, taken_at)
                self.by_id[organization_id].used[taken_at.hour] += number
            self._tell(f"pike-fish-market's gateway sends {len(self.later)} readings taken at 04:…")
        if hour == 13:
            organization = self.by_id["seattle-cold-store"]
            record_active_sensors(organization.organization_id, organization.sensors, DAY + timedelta(hours=8))
            organization.active[8] = organization.sensors
            self._tell("seattle-cold-store's 08:00 is corrected from 14 sensors down to 12")
        if hour == 16:
            self._cancel()
        if hour == 20:
            deliveries = self.stack.simulator.webhooks.resend(self._first_event("customer.subscription.created"))
            self.stack.simulator.webhooks.take()
            self._deliver(deliveries, "Stripe sends an old event again")

    def _cancel(self) -> None:
        organization = self.by_id["bay-vineyards"]
        moment = DAY + timedelta(hours=15, minutes=20)
        organization.ended_at = moment
        self.stack.simulator.clock.set(moment)
        self.stack.simulator.account.subscriptions.cancel(str(organization.subscription_id))
        self._deliver(self.stack.simulator.webhooks.take(), "bay-vineyards cancels")
        self._go_to(16, 5)

    def _first_event(self, event_type: str) -> str:
        deliveries = self.stack.simulator.webhooks.deliveries.values()
        return next(delivery.event_id for delivery in deliveries if delivery.event_type == event_type)

    # --- out

    def _schedule(self, hour: int) -> None:
        if hour == 7:
            self._tell("the schedule does not fire")
            return
        if hour == 17:
            with self._killed_before_settling():
                try:
                    self.stack.meter()
                except Killed:
                    self._tell("run: killed after sending, before it could settle")
                    return
        self._run("run")
        if hour == 9:
            self._run("the same run again")

    def _run(self, name: str) -> None:
        summary = self.stack.meter()
        for key in ("hours", "settled", "events_sent"):
            self.totals[key] += summary[key]
        parts = [f"{summary['hours']} hours due", f"{summary['events_sent']} events sent"]
        if summary["left"]:
            parts.append(f"{summary['left']} left for later")
        parts += [f"{number} refused ({code})" for code, number in summary["refused"].items()]
        self._tell(f"{name}: {', '.join(parts)}")

    @contextmanager
    def _killed_before_settling(self) -> Iterator[None]:
        def write(writes: Sequence[hour_writes.Write]) -> list[str]:
            if any('SET "reported"=' in each.statement["Statement"] for each in writes):
                raise Killed
            return real(writes)

        real = hour_writes.write
        hour_writes.write = write
        try:
            yield
        finally:
            hour_writes.write = real


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items())
