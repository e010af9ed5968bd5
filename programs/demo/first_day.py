"""The first day: who subscribes, what the sensors report, and everything that goes wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from billing.metering import writes as hour_writes
from programs.demo.passage import Passage
from programs.demo.usage_queue import Killed
from stripe_simulator import Delivery

METER_EVENTS = "/v1/billing/meter_events"


class FirstDay:
    """The incidents of the first day, from eight o'clock to midnight."""

    def __init__(self, passage: Passage, day: datetime) -> None:
        self.passage, self.day = passage, day
        self.stack, self.organizations = passage.stack, passage.organizations
        self.held_up: list[Delivery] = []

    def _at(self, hour: int, minute: int = 5) -> datetime:
        return self.day + timedelta(hours=hour, minutes=minute)

    def live(self) -> None:
        """Let the day pass."""
        pike = "pike-fish-market"
        # A gateway without a connection: one part comes in the evening, the other a month later.
        self.passage.offline |= {(pike, self._at(12, 0)), (pike, self._at(16, 0))}
        self.passage.live(self._at(8, 0), self._at(24, 0), self._incidents(), self._runs())

    def _incidents(self) -> list[tuple[datetime, Callable[[], None]]]:
        def subscribes(name: str) -> Callable[[], None]:
            return lambda: self._subscribe(name)

        return [
            (self._at(8, 0), self._begin_without_subscription),
            (self._at(8, 3), subscribes("seattle-cold-store")),
            (self._at(8, 20), subscribes("fremont-greenhouse")),
            (self._at(10, 30), subscribes("pike-fish-market")),
            (self._at(13, 0), self._subscribe_by_payment_link),
            (self._at(15, 20), subscribes("bay-vineyards")),
            (self._at(16), self._deliver_what_was_held_up),
            (self._at(17), self._let_stripe_fail),
            (self._at(18), self._let_stripe_take_no_meter_events),
            (self._at(19), self._let_stripe_recover),
            (self._at(20), self._send_kept_readings),
            (self._at(21), self._correct_sensors),
            (self._at(21, 20), self._cancel_at_once),
            (self._at(24), self._send_an_old_event_again),
        ]

    def _runs(self) -> dict[datetime, Callable[[], None]]:
        return {
            self._at(11): self._run_twice,
            self._at(12): self._do_not_fire,
            self._at(23): self._run_and_be_killed,
        }

    # --- in

    def _begin_without_subscription(self) -> None:
        self.passage.tell("mission-popup uses 3 sensors and never subscribes")

    def _subscribe(self, name: str) -> None:
        organization = self.organizations[name]
        organization.customer_id, organization.subscription_id = self.stack.subscribe_through_api(name)
        outcomes = self.passage.deliver(self.stack.simulator.webhooks.take())
        self.passage.tell(f"{name} subscribes by the API; webhooks: {outcomes}")

    def _subscribe_by_payment_link(self) -> None:
        organization = self.organizations["golden-gate-labs"]
        ids = self.stack.subscribe(organization.organization_id, in_metadata=False)
        organization.customer_id, organization.subscription_id = ids
        self.held_up = self.stack.simulator.webhooks.take()
        self.passage.tell(
            f"golden-gate-labs subscribes by a payment link; its {len(self.held_up)} webhooks are held up. "
            "It tells its number of sensors once: that number holds"
        )
        self.passage.mark("golden-gate-labs' webhooks are held up", until=self._at(16))

    def _deliver_what_was_held_up(self) -> None:
        outcomes = self.passage.deliver(self.held_up)
        self.passage.tell(f"golden-gate-labs' webhooks come, 3 hours late: {outcomes}")

    def _send_an_old_event_again(self) -> None:
        webhooks = self.stack.simulator.webhooks
        created = "customer.subscription.created"
        first = next(each for each in webhooks.deliveries.values() if each.event_type == created)
        deliveries = webhooks.resend(first.event_id)
        webhooks.take()
        self.passage.tell(f"Stripe sends its first event again: {self.passage.deliver(deliveries)}")

    def _cancel_at_once(self) -> None:
        organization = self.organizations["fremont-greenhouse"]
        organization.ended_at, organization.ends_at_once = self._at(21, 20), True
        organization.starts = organization.starts[:1]
        organization.uses_until = self._at(24, 0)
        self.stack.simulator.account.subscriptions.cancel(str(organization.subscription_id))
        self.passage.deliver_what_waits()
        self.passage.tell("fremont-greenhouse is cancelled at once: there will be no invoice")

    # --- what goes wrong

    def _let_stripe_fail(self) -> None:
        faults = self.stack.simulator.faults
        faults.add("http_500", METER_EVENTS, share=0.3, seed=5)
        faults.add("cut_after_effect", METER_EVENTS, share=0.2, seed=6)
        faults.add("http_429", METER_EVENTS, share=0.1, seed=7)
        self.passage.tell("Stripe begins to fail: 500s, cut connections, rate limits")
        self.passage.mark("Stripe fails: 500s, cuts, 429s", until=self._at(18))

    def _let_stripe_take_no_meter_events(self) -> None:
        self.stack.simulator.faults.clear()
        self.stack.simulator.faults.add("http_503", METER_EVENTS)
        self.passage.tell("Stripe takes no meter events at all")
        self.passage.mark("Stripe takes no meter events", until=self._at(19))

    def _let_stripe_recover(self) -> None:
        self.stack.simulator.faults.clear()
        self.passage.tell("Stripe is well again")

    def _send_kept_readings(self) -> None:
        number = self.passage.send_kept(self.organizations["pike-fish-market"], self._at(12, 0))
        self.passage.tell(f"a gateway of pike-fish-market sends {number} readings of 12:00")
        self.passage.mark(f"pike-fish-market sends {number} readings of 12:00")

    def _correct_sensors(self) -> None:
        organization = self.organizations["seattle-cold-store"]
        number = organization.sensors - 1
        hour = self._at(13, 0)
        self.passage.send_sensors(organization, hour, number, hour + timedelta(minutes=30))
        self.passage.queue.deliver(all_of_it=True)
        self.passage.tell(f"seattle-cold-store's 13:00 is corrected from {number + 1} sensors down to {number}")
        self.passage.mark("seattle-cold-store corrects 13:00")

    # --- out

    def _run_twice(self) -> None:
        self.passage.run()
        self.passage.run("the same run again")

    def _do_not_fire(self) -> None:
        self.passage.tell("the schedule does not fire")
        self.passage.mark("no run")

    def _run_and_be_killed(self) -> None:
        with self._killed_before_settling():
            try:
                self.stack.meter()
            except Killed:
                self.passage.tell("run: killed after sending, before it could settle")
                self.passage.mark("the run is killed")

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
