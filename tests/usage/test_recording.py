from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billing import record_usage
from billing.errors import InvalidUsageError
from billing.meters import METERS, Meter
from billing.tables.usage import UsageRecord, end_of, shard_of
from programs.local.stack import Stack

ROOT = Path(__file__).parents[2]
HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
EIGHT = "2026-11-23T08:00:00Z"


def modules_of(statement: str) -> set[str]:
    """Return the modules that a new process has after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_recording_imports_neither_stripe_nor_metering() -> None:
    modules = modules_of("from billing import record_readings, record_active_sensors, record_usage")

    assert "billing.usage.recording" in modules
    assert not [name for name in modules if name.split(".")[0] in ("stripe", "requests", "pydantic", "boto3")]
    assert not [name for name in modules if name.startswith(("billing.metering", "billing.stripe_gateway"))]


def test_importing_the_package_imports_no_table() -> None:
    assert not [name for name in modules_of("import billing") if name.startswith(("billing.", "pynamodb", "botocore"))]


def test_every_meter_has_an_attribute_of_the_usage_table() -> None:
    for meter in METERS:
        assert UsageRecord("acme", EIGHT).counted(meter.event_name) is None


@pytest.mark.parametrize("meter", METERS, ids=lambda meter: meter.event_name)
def test_any_meter_is_recorded_by_its_formula(stack: Stack, meter: Meter) -> None:
    record_usage("acme", meter.event_name, 7, HOUR)
    record_usage("acme", meter.event_name, 5, HOUR + timedelta(minutes=4))

    hour = stack.usage("acme", EIGHT)
    assert hour.counted(meter.event_name) == (12 if meter.formula == "sum" else 5)
    assert (hour.due_shard, hour.due_at) == (shard_of("acme"), end_of(EIGHT))


def test_a_meter_that_is_none_is_refused_by_name(stack: Stack) -> None:
    with pytest.raises(InvalidUsageError, match="no meter 'temperature_reading'; there are: active_sensors, "):
        record_usage("acme", "temperature_reading", 1, HOUR)

    assert list(UsageRecord.scan()) == []
