"""A file of usage, and what it counts."""

from __future__ import annotations

from pathlib import Path

from billing.tables.usage import UsageRecord

HEADER = "organization_id,meter,time,value"
LINES = (
    "acme,temperature_readings,2026-11-22T08:10:00Z,12",
    "acme,temperature_readings,2026-11-22T08:20:00Z,30",
    "acme,active_sensors,2026-11-22T08:50:00Z,4",
    "acme,active_sensors,2026-11-22T08:30:00Z,9",
    "globex,temperature_readings,2026-11-23T07:00:00+01:00,5",
)


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return path


def counts() -> dict[tuple[str, str], tuple[int | None, int | None]]:
    return {
        (hour.organization_id, hour.window_start): (
            None if hour.temperature_readings is None else int(hour.temperature_readings),
            None if hour.active_sensors is None else int(hour.active_sensors),
        )
        for hour in UsageRecord.scan(consistent_read=True)
    }


COUNTS = {("acme", "2026-11-22T08:00:00Z"): (42, 4), ("globex", "2026-11-23T06:00:00Z"): (5, None)}
