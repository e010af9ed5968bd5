"""How time passes in the demo: sensors report, webhooks come, the schedules fire, and what comes of it is told."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing import clock
from billing.clock import HOUR, from_unix, hour_of, parse_time
from programs.demo.book import READINGS, SENSORS, Organization
from programs.demo.narrator import Narrator
from programs.demo.records import Reading, readings
from programs.demo.usage_queue import UsageQueue, usage_event
from programs.local.stack import Stack
from stripe_simulator import Delivery

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Mark:
    """An incident on the picture's time axis; without `until` it is a moment."""

    text: str
    at: datetime
    until: datetime | None = None


def wrapped(text: str, begin: str = "  ") -> str:
    """Return a text in lines of at most 80 columns, behind what it begins with."""
    return textwrap.fill(text, WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin))


def amount(number: int, of: str) -> str:
    """Return a number of things in words."""
    return f"{number} {of}" if number == 1 else f"{number} {of}s"


def _next_comparison(now: datetime) -> datetime:
    """Return when a comparison is next: in the nights that may find anything, on days 2 to 6 of a month."""
    comparison = now.replace(hour=3, minute=35)
    while comparison <= now or not 2 <= comparison.day <= 6:
        comparison += timedelta(days=1)
    return comparison


class Passage:
    """The organisations on the stack, and the time that goes by; `say` prints a line.

    `is_lost` decides which webhooks never arrive. Of the hours in `offline` a gateway without a connection keeps half
    of the readings, in `kept`. `compared` adds the figures of the nightly comparisons up.
    """

    def __init__(self, stack: Stack, organizations: Iterable[Organization], say: Callable[[str], None]) -> None:
        self.stack, self.say = stack, say
        self.organizations = {each.organization_id: each for each in organizations}
        self.queue = UsageQueue(stack)
        self.narrator = Narrator(stack.simulator, self.organizations, self.tell)
        self.is_lost: Callable[[Delivery], bool] = lambda delivery: False
        self.offline: set[tuple[str, datetime]] = set()
        self.kept: dict[tuple[str, datetime], list[Reading]] = {}
        self.delivered: Counter[str] = Counter()
        self.compared: Counter[str] = Counter()
        self.marks: list[Mark] = []

    def tell(self, text: str) -> None:
        """Say what happens now."""
        now = clock.utc_now()
        self.say(wrapped(text, f"{now.day:>2} {now:%b %H:%M}  "))

    def mark(self, text: str, at: datetime | None = None, until: datetime | None = None) -> None:
        """Put an incident on the picture, of now unless a time is given."""
        self.marks.append(Mark(text, at or clock.utc_now(), until))

    # --- time

    def go_to(self, moment: datetime) -> None:
        """Let time pass: what Stripe does by itself happens at its time, and its webhooks come."""
        while True:
            change = self.stack.simulator.account.next_change_at()
            step = moment if change is None else min(moment, from_unix(change))
            self.stack.simulator.clock.set(step)
            self.deliver_what_waits()
            if step == moment:
                return

    def live(
        self,
        start: datetime,
        end: datetime,
        incidents: Iterable[tuple[datetime, Callable[[], None]]],
        runs: dict[datetime, Callable[[], None]],
    ) -> None:
        """Live hour by hour: usage at :59, the schedule at five past, unless `runs` has what happens instead.

        An incident comes before the run of the same minute.
        """
        agenda = list(incidents)
        for number in range((end - start) // HOUR):
            hour = start + number * HOUR
            agenda.append((hour + timedelta(minutes=59), self.record_usage))
            fire = hour + timedelta(minutes=65)
            agenda.append((fire, runs.get(fire, self.run)))
        for moment, act in sorted(agenda, key=lambda entry: entry[0]):
            self.go_to(moment)
            act()
        self.queue.deliver(all_of_it=True)

    def skip_to(self, moment: datetime) -> None:
        """Let days pass in which nothing is used: runs that have anything to send, and comparisons in some nights."""
        while (now := clock.utc_now()) < moment:
            comparison = _next_comparison(now)
            run = hour_of(now) + timedelta(minutes=5)
            run += HOUR if run <= now else timedelta()
            change = self.stack.simulator.account.next_change_at()
            # What Stripe does by itself may make an hour due.
            changes = [] if change is None else [from_unix(change)]
            runs = [max(run, parse_time(hour) + timedelta(minutes=65)) for _, hour in self.stack.due_hours()]
            step = min([moment, comparison, *changes, *runs])
            self.go_to(step)
            if step == comparison:
                self.compare()
            elif step in runs:
                self.run()

    # --- in

    def deliver_what_waits(self) -> None:
        """Deliver the webhooks that wait, and those that come of them."""
        while deliveries := self.stack.simulator.webhooks.take():
            self.deliver(delivery for delivery in deliveries if not self.is_lost(delivery))
        self.narrator.tell_invoices()

    def deliver(self, deliveries: Iterable[Delivery]) -> str:
        """Deliver webhooks to the real handler; return what it said of them."""
        responses = self.stack.deliver_all(deliveries)
        outcomes = Counter(response.outcome or str(response.status) for response in responses)
        self.delivered += outcomes
        return ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())

    # --- usage

    def record_usage(self) -> None:
        """Let the gateways send what the sensors reported in the present hour."""
        hour = hour_of(clock.utc_now())
        for organization in self.organizations.values():
            number = organization.sensors
            names = [f"{organization.organization_id}-{position}" for position in range(number)]
            taken = [
                reading
                for reading in readings(names, organization.city, hour)
                if organization.is_in_use(reading.taken_at)
            ]
            if organization.is_in_use(clock.utc_now()) and not (
                organization.tells_once and organization.active_sensors
            ):
                self.send_sensors(organization, hour, number, hour)
            key = organization.organization_id, hour
            if key in self.offline:
                self.kept[key], taken = taken[::2], taken[1::2]
            self.send_readings(organization, hour, taken)
        self.queue.deliver()

    def send_sensors(self, organization: Organization, hour: datetime, number: int, at: datetime) -> None:
        """Send a number of sensors of an hour, which was true at a moment of it, and write it into the book."""
        name = organization.organization_id
        self.queue.send([usage_event(name, SENSORS, number, at, f"sensors {at:%m-%d %H:%M}")])
        organization.active_sensors[hour] = number

    def send_readings(self, organization: Organization, hour: datetime, taken: Sequence[Reading]) -> None:
        """Send readings of an hour, those of a sensor as one event, and write them into the book."""
        by_sensor: dict[str, list[Reading]] = {}
        for reading in taken:
            by_sensor.setdefault(reading.sensor, []).append(reading)
        self.queue.send(
            [
                usage_event(
                    organization.organization_id,
                    READINGS,
                    len(its),
                    its[-1].taken_at,
                    f"{sensor} {its[0].taken_at:%m-%d %H:%M:%S}",
                )
                for sensor, its in by_sensor.items()
            ]
        )
        organization.readings[hour] += len(taken)

    def send_kept(self, organization: Organization, hour: datetime) -> int:
        """Let a gateway send the readings that it has kept; return how many."""
        taken = self.kept.pop((organization.organization_id, hour))
        self.send_readings(organization, hour, taken)
        self.queue.deliver(all_of_it=True)
        return len(taken)

    # --- out

    def run(self, name: str = "run") -> None:
        """Let the schedule fire."""
        summary = self.stack.meter()
        figures = [amount(summary["hours"], "hour") + " due", amount(summary["events_sent"], "event") + " sent"]
        if summary["left"]:
            figures.append(f"{summary['left']} left")
        figures += [f"{number} refused ({code})" for code, number in sorted(summary["refused"].items())]
        self.tell(f"{name}: {', '.join(figures)}")
        self.narrator.tell_invoices()
        self.narrator.tell_periods()

    def compare(self) -> None:
        """Let the nightly comparison happen."""
        summary = self.stack.reconcile()
        figures = ("hours", "drift_events", "periods_asked_for", "failures")
        self.compared += Counter({name: summary[name] for name in figures}) + Counter(nights=1)
        self.narrator.tell_comparison(summary["periods_asked_for"])
        self.narrator.tell_periods()
