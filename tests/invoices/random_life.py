"""A life of some billing periods, made of choices: what is counted, what fails meanwhile, how it ends."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from billing import clock
from billing.clock import HOUR, from_unix, hour_of
from billing.invoices.boundary import bills_last_hour
from billing.invoices.storage import read_periods
from billing.tables.usage import hours_between
from tests.invoices.lives import BEGIN, MONTH_1, MONTH_2, MONTH_4, READINGS, SENSORS, Life

if TYPE_CHECKING:
    from programs.local.stack import Stack

MOMENTS = ((0, 0), (0, 2), (3, 0), (4, 59), (5, 0), (5, 1), (30, 0), (59, 58))
KNOBS: dict[str, tuple[str, ...]] = {
    "boundary_window": ("timestamp", "beginning_period", "ending_period"),
    "most_recent": ("arrival", "timestamp"),
    "last_across_windows": ("timestamp", "arrival"),
    "trial_usage": ("shown", "left_out"),
}


@dataclass(frozen=True)
class Outcome:
    """What became of a life: readings counted, invoiced and told, and what is wrong with the numbers of sensors.

    `told` has the codes of the periods, and what was counted in `refused` hours, and in those that a trial made `free`.
    """

    counted: int
    invoiced: int
    told: dict[str, int]
    sensors: list[str]

    @property
    def is_exact(self) -> bool:
        """Say whether every unit is invoiced once, or on the list of what was told."""
        lost = (
            sum(self.told[code] for code in ("refused", "free", "not_invoiced", "not_carried")) - self.told["too_much"]
        )
        return self.counted - self.invoiced == lost and not self.sensors


class RandomLife(Life):
    """A life whose every choice comes from one seed."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.random = random.Random(seed)  # the same life again for the same seed
        stack.simulator.settings.update({name: self.random.choice(values) for name, values in KNOBS.items()})
        self.minute, self.second = self.random.choice(MOMENTS)
        self.story: list[str] = [f"at :{self.minute:02d}:{self.second:02d}"]
        # Its end is where the first period of another life ends.
        self.trial_days = self.random.choice([0, 0, 0, 30])
        self.story += ["on trial"] if self.trial_days else []
        began = BEGIN + timedelta(minutes=self.minute, seconds=self.second)
        super().__init__(stack, began, trial_days=self.trial_days)

    def live(self) -> None:
        """Live through two renewals, each perhaps with an outage, perhaps to an end, and on until all is invoiced."""
        self._hours(3)
        ends = self.random.choice(["no", "no", "no", "planned", "at once"])
        for renewal in (MONTH_1, MONTH_2):
            if renewal == MONTH_2 and ends == "planned":
                self.story.append("ends as planned")
                self.stack.simulator.account.subscriptions.update(
                    self.subscription_id, {"cancel_at_period_end": "true"}
                )
            self._upgrade()
            self.go_to(renewal - self.random.randint(1, 4) * HOUR)
            self._around_a_renewal()
            self._late()
            if renewal == MONTH_1 and ends == "at once":
                self.story.append("ends at once")
                self._hours(2)
                self.stack.simulator.account.subscriptions.cancel(self.subscription_id, {})
                break
        self.go_to(MONTH_2 + 30 * HOUR)
        self._return()
        self._late()
        self.go_to(MONTH_4 + 100 * HOUR)

    def _upgrade(self) -> None:
        """Give the readings another price in the middle of a period, perhaps, and of an hour."""
        if self.random.random() < 0.6:
            return
        self.go_to(clock.utc_now() + self.random.randint(1, 9) * 24 * HOUR)
        self._hours(2)
        self.go_to(clock.utc_now() + timedelta(minutes=self.random.choice([3, 20])))
        self.count(self.random.randint(1, 50), clock.utc_now())
        proration = self.random.choice(["create_prorations", "none"])
        self.story.append(f"another price, {proration}")
        self.change_price(proration)
        self._hours(2)

    def _return(self) -> None:
        """Subscribe again, perhaps, where the subscription has ended: as the same customer, or as another one."""
        account = self.stack.simulator.account
        if account.subscriptions.objects[self.subscription_id]["ended_at"] is None or self.random.random() < 0.5:
            return
        customer = self.random.choice([self.customer_id, None])
        self.story.append(f"comes back as {'another' if customer is None else 'the same'} customer")
        self._hours(1)
        self.subscribe(customer=customer)
        self._hours(4)

    def _around_a_renewal(self) -> None:
        trouble = self.random.choice(["none", "none", "schedule", "webhooks", "stripe", "all webhooks lost"])
        self.story.append(trouble)
        hours = self.random.randint(4, 9)
        if trouble == "schedule":
            self._hours(hours, runs=False)
        elif trouble == "webhooks":
            self._hours(hours, webhooks=False)
        elif trouble == "all webhooks lost":
            self._hours(hours, webhooks=False)
            self.stack.simulator.webhooks.take()
        elif trouble == "stripe":
            with _outage(self.stack):
                self._hours(hours)
        else:
            self._hours(hours)

    def _hours(self, hours: int, **options: bool) -> None:
        """Count in each of some hours at a moment of it, sometimes correct one before, or record sensors."""
        for _ in range(hours):
            moment = hour_of(clock.utc_now()) + timedelta(minutes=self.random.choice([1, 4, 31, 59]))
            self.go_to(max(moment, clock.utc_now()), **options)
            if self.random.random() < 0.8:
                self.count(self.random.randint(1, 100), clock.utc_now())
            if self.random.random() < 0.4:
                self.sensors(self.random.randint(1, 50), clock.utc_now())
            if self.random.random() < 0.3:
                self._correct(clock.utc_now() - self.random.randint(1, 3) * HOUR)
            self.go_to(hour_of(clock.utc_now()) + HOUR, **options)

    def _correct(self, at: Any) -> None:
        """Count later readings of an hour, or take some back."""
        if at < BEGIN + timedelta(minutes=self.minute, seconds=self.second):
            return
        self.count(self.random.randint(1, 20), at)

    def _late(self) -> None:
        """Count readings of hours ago, of days ago, of the period before."""
        for hours in self.random.sample([2, 6, 30, 24 * 9, 24 * 33], self.random.randint(0, 2)):
            at = clock.utc_now() - hours * HOUR
            if at > BEGIN + HOUR:
                self.story.append(f"late by {hours} h")
                self.count(self.random.randint(1, 200), at)
        self.go_to(clock.utc_now() + 2 * HOUR)

    def outcome(self) -> Outcome:
        """Return what became of it."""
        told: Counter[str] = Counter()
        sensors = []
        periods = read_periods(self.organization_id)
        for period in periods:
            for code, totals in period.told.items():
                told[code] += totals.get(READINGS, 0)
            if period.state == "closed" and not period.span.is_trial:
                with_last_hour = bills_last_hour(periods)
                difference = period.counted_as(SENSORS, with_last_hour=with_last_hour) - period.invoiced(SENSORS)
                if difference != period.told.get("late_number", {}).get(SENSORS, 0):
                    sensors.append(f"{period.span.starts_at}: {difference}")
        for hour in hours_between(self.organization_id, BEGIN - HOUR, MONTH_4 + 200 * HOUR):
            # Usage from when there was no subscription: its refusal says so, where that was known by then.
            if hour.refused or not self._is_subscribed(hour.start):
                told["refused"] += hour.own_total(READINGS) or 0
            elif self._is_free(hour.start, with_last_hour=bills_last_hour(periods)):
                told["free"] += hour.own_total(READINGS) or 0
        return Outcome(self.counted, self.invoiced(), told, sensors)

    def _is_subscribed(self, hour: Any) -> bool:
        """Say whether a subscription was there in an hour, for some part of it."""
        subscriptions = self.stack.simulator.account.subscriptions.objects.values()
        return any(
            from_unix(each["start_date"]) < hour + HOUR
            and (each["ended_at"] is None or hour < from_unix(each["ended_at"]))
            for each in subscriptions
        )

    def _is_free(self, hour: Any, *, with_last_hour: bool) -> bool:
        """Say whether an hour is of the trial, and costs nothing."""
        if not self.trial_days:
            return False
        end = BEGIN + timedelta(days=self.trial_days, minutes=self.minute, seconds=self.second)
        return bool(hour < (end if with_last_hour else hour_of(end)))


@contextmanager
def _outage(stack: Stack) -> Iterator[None]:
    """Let Stripe fail every call for the length of a `with` block."""
    rule = stack.simulator.faults.add("http_500")
    try:
        yield
    finally:
        stack.simulator.faults.rules.remove(rule)
