"""Real temperature records, as the readings of an organisation's sensors.

The hourly temperatures of Seattle and San Francisco in 2010 (NOAA, as `vega-datasets` ships them). A sensor reports
when the temperature has moved by half a degree Fahrenheit since its last report, and once an hour in any case: so how
many readings there are in an hour is decided by the weather.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import vega_datasets

STEP_FAHRENHEIT = 0.5
RECORDS = Path(vega_datasets.__file__).parent / "_data"


@dataclass(frozen=True, slots=True)
class Reading:
    """One sensor's reading: degrees Fahrenheit at a moment."""

    sensor: str
    taken_at: datetime
    fahrenheit: float


def hourly_temperatures(city: str, first_day: str) -> list[float]:
    """Return the 25 hourly temperatures from the midnight of `first_day` (2010/06/16) to the next one."""
    with (RECORDS / f"{city}-temps.csv").open(newline="") as file:
        rows = [(row["date"], float(row["temp"])) for row in csv.DictReader(file)]
    first = next(number for number, (date, _) in enumerate(rows) if date.startswith(first_day))
    return [temperature for _, temperature in rows[first : first + 25]]


def readings(sensors: list[str], temperatures: list[float], day: datetime, hour: int) -> Iterator[Reading]:
    """Yield what the sensors report in one hour of the day, each a little earlier or later than the next."""
    before, after = temperatures[hour], temperatures[hour + 1]
    reports = 1 + int(abs(after - before) / STEP_FAHRENHEIT)
    for offset_seconds, sensor in enumerate(sensors):
        for report in range(reports):
            share = report / reports
            moment = day + timedelta(hours=hour, seconds=int(share * 3500) + offset_seconds)
            yield Reading(sensor, moment, before + share * (after - before))
