from __future__ import annotations

from datetime import timedelta

import pytest

from billing import clock, record_readings
from billing.tables.usage import UsageRecord
from programs.local.stack import Stack
from tests.operations.conftest import (
    START,
    Operate,
    record_usage,
)


def test_usage_lists_and_draws_an_organisations_hours(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.subscribe("acme", at=START - timedelta(hours=3))
    stack.deliver_all()
    record_usage("acme")
    stack.meter()
    record_readings("acme", 4, clock.utc_now())
    told = operate("--json", "usage", "acme", "--end", "2026-11-23T09:00:00Z").json
    assert [hour["state"] for hour in told["hours"]] == ["reported", "reported", "reported", "due"]
    assert told["totals"]["temperature_readings"] == {"formula": "sum", "counted": 64, "reported": 60, "not_sold": 0}
    listed = operate("usage", "acme", "--end", "2026-11-23T09:00:00Z").out
    assert "2026-11-23T05:00:00Z" in listed
    monkeypatch.setenv("COLUMNS", "80")
    assert "2026-11-23T05:00:00Z" in operate("usage", "acme", "--end", "2026-11-23T09:00:00Z").out
    drawn = operate("usage", "acme", "--end", "2026-11-23T09:00:00Z", "--plot").out
    assert "Temperature readings, highest 30 an hour" in drawn
    assert "█" in drawn
    assert "No usage" in operate("usage", "nobody").out


def test_an_hour_that_came_after_its_invoice_is_listed_and_drawn(stack: Stack, operate: Operate) -> None:
    readings = {"temperature_readings": 9}
    UsageRecord("acme", "2026-11-23T06:00:00Z", temperature_readings=9, reported={}, late=readings).save()

    UsageRecord("acme", "2026-11-23T07:00:00Z", carried={"temperature_readings": 500}).save()

    assert "late" in operate("usage", "acme").out
    assert "carried in: 500 temperature_readings" in operate("usage", "acme").out
    assert "late" in operate("usage", "acme", "--plot").out
