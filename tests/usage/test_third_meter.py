"""What CONTRIBUTING.md says of a third meter: a line in meters.py and one in tables/usage.py, and it is billed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from billing.meters import METERS, Formula

ROOT = Path(__file__).parents[2]

# Names that are words of DynamoDB's or Python's own, or no identifiers at all.
NEW_METERS: dict[str, Formula] = {"pressure_readings": "sum", "api-calls": "sum", "value": "last", "count": "last"}

PROGRAM = """
import os
from datetime import UTC, datetime
from billing import record_usage
from billing.meters import METERS
from billing.tables.usage import refuse_reported
from billing.usage.reading import totals, usage_between
from programs.local import dynamodb_local
from programs.local.stack import running_stack
from stripe_simulator import running_simulator

endpoint = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
at, start, end = (datetime(2026, 11, 23, *clock, tzinfo=UTC) for clock in ((8, 5), (8, 0), (10, 0)))
dynamodb_local.create_tables(dynamodb_local.client_for(endpoint))
with running_simulator() as simulator, running_stack(simulator, endpoint, start=at) as stack:
    stack.subscribe("acme")
    stack.deliver_all()
    for number, meter in enumerate(METERS):
        record_usage("acme", meter.event_name, 10 + number, at)
    stack.advance(hours=1)
    assert stack.meter()["settled"] == 1
    for meter in METERS:
        record_usage("acme", meter.event_name, 100, at)
    assert stack.meter()["settled"] == 1
    assert stack.differences(["acme"], start, end) == []
    counts = totals(usage_between("acme", start, end))
    for number, meter in enumerate(METERS):
        total = counts[meter.event_name]
        print("total", number, meter.event_name, total.counted, total.reported)
    for meter in METERS:
        assert refuse_reported(stack.usage("acme", "2026-11-23T08:00:00Z"), meter.event_name, "meter_event_x: refused")
    (hour,) = usage_between("acme", start, end)
    assert (hour.state, hour.reported) == ("refused", {}), hour
"""


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Return a copy of the layer with more meters, each added as a contributor does."""
    folder = tmp_path / "billing"
    shutil.copytree(ROOT / "layers" / "billing", folder)
    insert(
        folder / "billing" / "meters.py",
        [f'    Meter("{name}", "{formula}", "{name}"),\n' for name, formula in NEW_METERS.items()],
        after="METERS = (\n",
    )
    insert(
        folder / "billing" / "tables" / "usage.py",
        [
            f'    new_{number} = NumberAttribute(attr_name="{name}", null=True)\n'
            for number, name in enumerate(NEW_METERS)
        ],
        after="    temperature_readings = NumberAttribute(null=True)\n",
    )
    return folder


def insert(path: Path, lines: list[str], *, after: str) -> None:
    text = path.read_text()
    assert text.count(after) == 1
    path.write_text(text.replace(after, after + "".join(lines)))


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
    rows = [line.split()[1:] for line in run.stdout.splitlines() if line.startswith("total ")]
    formulas = {meter.event_name: meter.formula for meter in METERS} | NEW_METERS
    assert {name for _, name, _, _ in rows} == formulas.keys()
    for number, name, counted, reported in rows:
        total = 110 + int(number) if formulas[name] == "sum" else 100
        assert (int(counted), int(reported)) == (total, total), name
