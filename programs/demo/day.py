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
    """An organisation and what its sensors really did: the demo's own book, kept apart from the stack's tables.

    `readings` counts readings by hour; `active_sensors` is the number of active sensors by hour. Stripe may bill the
    hours from the subscription's start, which is midnight, until `ended_at`.
    """

    organization_id: str
    city: str
    sensors: int
    customer_id: str | None = None
    subscription_id: str | None = None
    ended_at: datetime | None = None
    readings: Counter[int] = field(default_factory=Counter)
    active_sensors: dict[int, int] = field(default_factory=dict)

    def is_billable(self, hour: int) -> bool:
        """Say whether an hour lies within the subscription."""
        if self.customer_id is None:
            return False
        return self.ended_at is None or DAY + timedelta(hours=hour) < self.ended_at


class Killed(BaseException):
    """The end of a run in the middle, as Lambda's time-out ends it."""


class Day:
    """The day's course; `say` prints what happens."""

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
        self.by_id = {organization.organization_id: organization for organization in self.organizations}
        self.temperatures = {city: hourly_temperatures(city, RECORDED_DAY) for city in ("seattle", "sf")}
        self.late_deliveries: list[Delivery] = []
        self.late_readings: list[datetime] = []
        self.totals: Counter[str] = Counter()

    def live(self) -> None:
        """Let 24 hours pass; at five past each hour something may go wrong, and then the schedule fires."""
        incidents = {
            3: self._deliver_late_webhooks,
            5: self._let_stripe_fail,
            10: self._let_stripe_refuse_meter_events,
            11: self._let_stripe_recover,
            12: self._record_late_readings,
            13: self._correct_active_sensors,
            16: self._cancel,
            20: self._resend_event,
        }
        self._subscribe()
        for hour in range(24):
            self._record_usage(hour)
            self._go_to(hour + 1, 5)
            if hour + 1 in incidents:
                incidents[hour + 1]()
            self._fire_schedule(hour + 1)

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
            title = f"{organization.organization_id} subscribes through the billing API"
            self._deliver(self.stack.simulator.webhooks.take(), title)
        late = self.by_id["golden-gate-labs"]
        late.customer_id, late.subscription_id = self.stack.subscribe(late.organization_id)
        self.late_deliveries = self.stack.simulator.webhooks.take()
        number = len(self.late_deliveries)
        self._tell(f"{late.organization_id} subscribes by a payment link; its {number} webhooks are held up")
        self._tell("mission-popup uses sensors and never subscribes")

    def _deliver(self, deliveries: list[Delivery], title: str) -> None:
        responses = self.stack.deliver_all(deliveries)
        outcomes = Counter(response.outcome or str(response.status) for response in responses)
        self._tell(f"{title}: {', '.join(f'{number} {outcome}' for outcome, number in outcomes.items())}")

    # --- usage

    def _record_usage(self, hour: int) -> None:
        start = DAY + timedelta(hours=hour)
        for organization in self.organizations:
            sensors = [f"{organization.organization_id}-{number}" for number in range(organization.sensors)]
            if organization.organization_id == "seattle-cold-store" and hour == 8:
                # Two sensors are counted that were taken down: corrected at 13:05.
                self._record_sensors(organization, hour, organization.sensors + 2)
            else:
                self._record_sensors(organization, hour, organization.sensors)
            taken = list(readings(sensors, self.temperatures[organization.city], DAY, hour))
            if organization.organization_id == "pike-fish-market" and hour == 4:
                # A gateway without a connection keeps half of them until 11:30.
                self.late_readings = [reading.taken_at for reading in taken[::2]]
                taken = taken[1::2]
            self.stack.simulator.clock.set(start + timedelta(minutes=59))
            for moment, number in Counter(clock.hour_of(reading.taken_at) for reading in taken).items():
                record_readings(organization.organization_id, number, moment)
                organization.readings[hour] += number

    def _record_sensors(self, organization: Organization, hour: int, number: int) -> None:
        organization.active_sensors[hour] = number
        self.stack.simulator.clock.set(DAY + timedelta(hours=hour, minutes=59))
        record_active_sensors(organization.organization_id, number, DAY + timedelta(hours=hour))

    # --- what goes wrong

    def _deliver_late_webhooks(self) -> None:
        self._deliver(self.late_deliveries, "golden-gate-labs' webhooks arrive, three hours late")

    def _let_stripe_fail(self) -> None:
        faults = self.stack.simulator.faults
        faults.add("http_500", "/v1/billing/meter_events", share=0.3, seed=5)
        faults.add("cut_after_effect", "/v1/billing/meter_events", share=0.2, seed=6)
        faults.add("http_429", "/v1/billing/meter_events", share=0.1, seed=7)
        self._tell("Stripe begins to fail: 500s, cut connections, rate limits")

    def _let_stripe_refuse_meter_events(self) -> None:
        self.stack.simulator.faults.clear()
        self.stack.simulator.faults.add("http_503", "/v1/billing/meter_events")
        self._tell("Stripe takes no meter events at all")

    def _let_stripe_recover(self) -> None:
        self.stack.simulator.faults.clear()
        self._tell("Stripe is well again")

    def _record_late_readings(self) -> None:
        organization = self.by_id["pike-fish-market"]
        for taken_at in self.late_readings:
            record_readings(organization.organization_id, 1, taken_at)
            organization.readings[taken_at.hour] += 1
        self._tell(f"pike-fish-market's gateway sends {len(self.late_readings)} readings taken at 04:…")

    def _correct_active_sensors(self) -> None:
        organization = self.by_id["seattle-cold-store"]
        record_active_sensors(organization.organization_id, organization.sensors, DAY + timedelta(hours=8))
        organization.active_sensors[8] = organization.sensors
        self._tell("seattle-cold-store's 08:00 is corrected from 14 sensors down to 12")

    def _cancel(self) -> None:
        organization = self.by_id["bay-vineyards"]
        moment = DAY + timedelta(hours=15, minutes=20)
        organization.ended_at = moment
        self.stack.simulator.clock.set(moment)
        self.stack.simulator.account.subscriptions.cancel(str(organization.subscription_id))
        self._deliver(self.stack.simulator.webhooks.take(), "bay-vineyards cancels")
        self._go_to(16, 5)

    def _resend_event(self) -> None:
        deliveries = self.stack.simulator.webhooks.resend(self._first_event("customer.subscription.created"))
        self.stack.simulator.webhooks.take()
        self._deliver(deliveries, "Stripe sends an old event again")

    def _first_event(self, event_type: str) -> str:
        deliveries = self.stack.simulator.webhooks.deliveries.values()
        return next(delivery.event_id for delivery in deliveries if delivery.event_type == event_type)

    # --- out

    def _fire_schedule(self, hour: int) -> None:
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
        figures = [f"{summary['hours']} hours due", f"{summary['events_sent']} events sent"]
        if summary["left"]:
            figures.append(f"{summary['left']} left for later")
        figures += [f"{number} refused ({code})" for code, number in summary["refused"].items()]
        self._tell(f"{name}: {', '.join(figures)}")

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
