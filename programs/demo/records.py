"""Real temperature records, as the readings of an organisation's sensors.

The hourly temperatures of Seattle and San Francisco in 2010 (NOAA, as `vega-datasets` ships them). A sensor reports
when the temperature has moved by half a degree Fahrenheit since its last report, and once an hour in any case: so how
many readings there are in an hour is decided by the weather.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from billing.clock import HOUR

STEP_FAHRENHEIT = 0.5
# The weather of a June and a July is what the sensors feel in the demo's November and December.
SINCE_THE_RECORDS = datetime(2026, 11, 2, tzinfo=UTC) - datetime(2010, 6, 16, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """One sensor's reading: degrees Fahrenheit at a moment."""

    sensor: str
    taken_at: datetime
    fahrenheit: float


@cache
def _records(city: str) -> dict[str, float]:
    package = find_spec("vega_datasets")  # not imported: that would import pandas
    assert package is not None
    with (Path(str(package.origin)).parent / "_data" / f"{city}-temps.csv").open(newline="") as file:
        return {row["date"][:16]: float(row["temp"]) for row in csv.DictReader(file)}


def temperature(city: str, hour: datetime) -> float:
    """Return the temperature that a city's sensors feel at the start of an hour."""
    return _records(city)[f"{hour - SINCE_THE_RECORDS:%Y/%m/%d %H:%M}"]


def readings(sensors: list[str], city: str, hour: datetime) -> Iterator[Reading]:
    """Yield what the sensors report in an hour, each a little earlier or later than the next."""
    before, after = temperature(city, hour), temperature(city, hour + HOUR)
    reports = 1 + int(abs(after - before) / STEP_FAHRENHEIT)
    for offset_seconds, sensor in enumerate(sensors):
        for report in range(reports):
            share = report / reports
            moment = hour + timedelta(seconds=int(share * 3500) + offset_seconds)
            yield Reading(sensor, moment, before + share * (after - before))
