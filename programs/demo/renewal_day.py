"""The day on which the first periods end: what is late, down or lost then, and what becomes of the invoices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from programs.demo.passage import Passage
from stripe_simulator import Delivery

METER_EVENTS = "/v1/billing/meter_events"


class RenewalDay:
    """The incidents of the day of the renewals, from six to nine in the evening."""

    def __init__(self, passage: Passage, day: datetime, first_day: datetime) -> None:
        self.passage, self.day, self.first_day = passage, day, first_day
        self.stack, self.organizations = passage.stack, passage.organizations

    def _at(self, hour: int, minute: int = 5) -> datetime:
        return self.day + timedelta(hours=hour, minutes=minute)

    def live(self) -> None:
        """Let the day pass."""
        incidents: list[tuple[datetime, Callable[[], None]]] = [
            (self._at(7, 30), self._cancel_as_planned),
            (self._at(8, 30), self._take_sensors_into_service),
            (self._at(13), self._let_stripe_take_no_meter_events),
            (self._at(15), self._let_stripe_recover),
            (self._at(15, 10), self._lose_webhooks),
            (self._at(18), self._send_readings_of_a_month_ago),
            (self._at(19, 30), self._deliver_all_messages_again),
        ]
        runs = {self._at(10): self._do_not_fire, self._at(11): self._do_not_fire}
        self.passage.mark("no run", self._at(10), self._at(11))
        self.passage.live(self._at(6, 0), self._at(21, 0), incidents, runs)

    def _cancel_as_planned(self) -> None:
        organization = self.organizations["bay-vineyards"]
        organization.ended_at = organization.uses_until = self._at(15, 20)
        organization.starts = organization.starts[:1]
        self.stack.simulator.account.subscriptions.update(
            str(organization.subscription_id), {"cancel_at_period_end": "true"}
        )
        self.passage.deliver_what_waits()
        self.passage.tell("bay-vineyards cancels as planned: at the end of its period, 15:20")

    def _take_sensors_into_service(self) -> None:
        self.organizations["seattle-cold-store"].sensors += 3
        self.passage.tell("seattle-cold-store takes 3 more sensors into service: 15")

    def _do_not_fire(self) -> None:
        self.passage.tell("the schedule does not fire")

    def _let_stripe_take_no_meter_events(self) -> None:
        self.stack.simulator.faults.add("http_503", METER_EVENTS)
        self.passage.tell("Stripe takes no meter events at all")
        self.passage.mark("Stripe takes no meter events", until=self._at(15))

    def _let_stripe_recover(self) -> None:
        self.stack.simulator.faults.clear()
        self.passage.tell("Stripe is well again")

    def _lose_webhooks(self) -> None:
        customer_id = self.organizations["bay-vineyards"].customer_id

        def is_lost(delivery: Delivery) -> bool:
            return delivery.event_type.startswith("invoice.") and str(customer_id) in delivery.body.decode()

        self.passage.is_lost = is_lost
        self.passage.tell("from now on all webhooks about bay-vineyards' invoice are lost")
        self.passage.mark("bay-vineyards' webhooks are lost")

    def _send_readings_of_a_month_ago(self) -> None:
        organization, hour = self.organizations["pike-fish-market"], self.first_day + timedelta(hours=16)
        number = self.passage.send_kept(organization, hour)
        organization.late[hour] += number
        self.passage.tell(
            f"another gateway of pike-fish-market sends {number} readings, taken on 2 November "
            "at 16:00: the invoice of that period is final"
        )
        self.passage.mark(f"pike-fish-market sends {number} readings of 2 Nov")

    def _deliver_all_messages_again(self) -> None:
        queue = self.passage.queue
        counted = queue.counted
        number = queue.deliver_again()
        self.passage.tell(
            f"somebody redrives the usage queue: {number} messages of today and of a month ago come again, "
            f"{queue.counted - counted} of their events count"
        )
