"""The demo's own book: what the sensors really did, kept apart from the stack's tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from billing.clock import hour_of

READINGS, SENSORS = "temperature_readings", "active_sensors"


@dataclass(slots=True)
class Organization:
    """An organisation, its subscription and its usage by hour.

    `sensors` is the number of its sensors now; one that `tells_once` records that number once, and it holds. It uses
    them from `uses_from` until `uses_until`. `readings` has all of an hour's readings, `late` those of them that came
    after the hour's invoice was final. `starts` are the moments at which its periods that end in the demo begin;
    `ended_at` is the end of its subscription, be it the end of a period or at once.
    """

    organization_id: str
    city: str
    sensors: int
    uses_from: datetime
    tells_once: bool = False
    customer_id: str | None = None
    subscription_id: str | None = None
    starts: tuple[datetime, ...] = ()
    ended_at: datetime | None = None
    ends_at_once: bool = False
    uses_until: datetime | None = None
    readings: Counter[datetime] = field(default_factory=Counter)
    late: Counter[datetime] = field(default_factory=Counter)
    active_sensors: dict[datetime, int] = field(default_factory=dict)

    def is_in_use(self, moment: datetime) -> bool:
        """Say whether its sensors report at a moment."""
        return self.uses_from <= moment and (self.uses_until is None or moment < self.uses_until)

    def period_of(self, hour: datetime) -> int | None:
        """Return the number of the period that an hour belongs to, from 0; None outside of the subscription.

        The hour in which a period begins belongs to it; the hour in which the subscription ends, to its last.
        """
        begun = [number for number, start in enumerate(self.starts) if hour_of(start) <= hour]
        if not begun or (self.ended_at is not None and hour >= self.ended_at):
            return None
        return begun[-1]

    def counted(self, event_name: str) -> int:
        """Return all that was counted of a meter: the sum, or the newest number."""
        if event_name == READINGS:
            return self.readings.total()
        return self.active_sensors[max(self.active_sensors)]

    def to_bill(self, event_name: str) -> list[int]:
        """Return what each period's invoice has to bill: of readings that came late, the next one."""
        numbers = [0] * len(self.starts)
        if event_name == READINGS:
            for hour, number in self.readings.items():
                period = self.period_of(hour)
                if period is not None:
                    numbers[period] += number - self.late[hour]
                    if self.late[hour]:
                        numbers[period + 1] += self.late[hour]
            return numbers
        for period in range(len(self.starts)):
            own = [hour for hour in self.active_sensors if self.period_of(hour) == period]
            if own:
                numbers[period] = self.active_sensors[max(own)]
            elif self.tells_once and period:
                numbers[period] = numbers[period - 1]
        return numbers

    def outside(self, event_name: str) -> int:
        """Return what was counted outside of the subscription: the sum, or the newest number."""
        if event_name == READINGS:
            return sum(number for hour, number in self.readings.items() if self.period_of(hour) is None)
        hours = [hour for hour in self.active_sensors if self.period_of(hour) is None]
        return self.active_sensors[max(hours)] if hours else 0
