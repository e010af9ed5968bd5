"""What CONTRIBUTING.md says of a third meter: a line in meters.py and one in tables/usage.py, and it is billed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Names that are words of DynamoDB's or Python's own, or no identifiers at all.
NEW_METERS = {"pressure_readings": "sum", "api-calls": "sum", "value": "last", "count": "last"}

PROGRAM = """
import os
from datetime import UTC, datetime
from billing import record_usage
from billing.meters import METERS
from billing.usage.reading import totals, usage_between
from programs.local import dynamodb_local, tables
from programs.local.stack import running_stack
from stripe_simulator import running_simulator

endpoint = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
start, end = datetime(2026, 11, 23, 8, 5, tzinfo=UTC), datetime(2026, 11, 23, 10, tzinfo=UTC)
tables.create_tables(tables.client_for(endpoint))
with running_simulator() as simulator, running_stack(simulator, endpoint, start=start) as stack:
    stack.subscribe("acme")
    stack.deliver_all()
    for number, meter in enumerate(METERS):
        record_usage("acme", meter.event_name, 10 + number, start)
    stack.advance(hours=1)
    assert stack.meter()["settled"] == 1
    for meter in METERS:
        record_usage("acme", meter.event_name, 100, start)
    assert stack.meter()["settled"] == 1
    assert stack.differences(["acme"], start.replace(minute=0), end) == []
    for name, total in totals(usage_between("acme", start.replace(minute=0), end)).items():
        print(name, total.counted, total.reported)
"""


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Return a copy of the layer with more meters, each added as a contributor does."""
    folder = tmp_path / "billing"
    shutil.copytree(ROOT / "layers" / "billing", folder)
    meters, usage = folder / "billing" / "meters.py", folder / "billing" / "tables" / "usage.py"
    line = '    Meter("temperature_readings", "sum", "Temperature readings"),\n'
    lines = "".join(f'    Meter("{name}", "{formula}", "{name}"),\n' for name, formula in NEW_METERS.items())
    meters.write_text(meters.read_text().replace(line, line + lines))
    line = "    temperature_readings = NumberAttribute(null=True)\n"
    lines = "".join(
        f'    new_{number} = NumberAttribute(attr_name="{name}", null=True)\n' for number, name in enumerate(NEW_METERS)
    )
    usage.write_text(usage.read_text().replace(line, line + lines))
    return folder


def test_more_meters_are_billed_when_each_has_its_two_lines(layer: Path, dynamodb_endpoint: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{layer}{os.pathsep}{ROOT}",
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_endpoint,
        "AWS_ACCESS_KEY_ID": f"{os.environ['AWS_ACCESS_KEY_ID']}more",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    }
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=layer, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr[-3000:]
    counted = [line.split() for line in run.stdout.splitlines() if not line.startswith("{")]
    assert counted == [
        ["active_sensors", "100", "100"],
        ["temperature_readings", "111", "111"],
        ["pressure_readings", "112", "112"],
        ["api-calls", "113", "113"],
        ["value", "100", "100"],
        ["count", "100", "100"],
    ]
