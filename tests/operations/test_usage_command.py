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
    save_refused,
)

NO_SUCH_CUSTOMER = "no_such_customer: No such customer: 'cus_QabcDEFghiJKLm' in this account of yours"


def test_usage_lists_and_draws_an_organisations_hours(stack: Stack, operate: Operate) -> None:
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
    drawn = operate("usage", "acme", "--end", "2026-11-23T09:00:00Z", "--plot").out
    assert "Temperature readings, highest 30 an hour" in drawn
    assert "█" in drawn


def test_times_are_written_in_one_way(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme", at=START - timedelta(hours=3))
    stack.deliver_all()
    record_usage("acme")
    stack.meter()
    first = operate("--json", "usage", "acme").json["hours"][0]
    assert (first["reported_at"], first["window_start"]) == ("2026-11-23T08:00:00Z", "2026-11-23T05:00:00Z")
    assert first["period"]["starts_at"] == "2026-11-23T05:00:00Z"


def test_hour_and_numbers_are_whole_at_80_columns(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_usage("acme")
    UsageRecord("acme", "2026-11-22T01:00:00Z", temperature_readings=123456789, active_sensors=123456).save()
    save_refused("acme", "2026-11-22T02:00:00Z", NO_SUCH_CUSTOMER)
    save_refused("acme", "2026-11-22T03:00:00Z", NO_SUCH_CUSTOMER)
    monkeypatch.setenv("COLUMNS", "80")

    out = operate("usage", "acme").out

    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out
    (row,) = (line.split() for line in lines if "2026-11-22T01:00:00Z" in line)
    assert row == ["2026-11-22T01:00:00Z", "unreported", "123456", "123456789"]
    assert [line.split()[-1] for line in lines if " refused " in line] == ["(1)", "(1)"]
    assert [line.rstrip() for line in lines if line.startswith("(1)")] == [f"(1) {NO_SUCH_CUSTOMER}"[:80].rstrip()]


def test_a_file_has_the_whole_table_and_no_colours(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_refused("acme", "2026-11-22T02:00:00Z", NO_SUCH_CUSTOMER)
    monkeypatch.delenv("COLUMNS")

    out = operate("usage", "acme").out

    assert [line.rstrip() for line in out.splitlines() if line.startswith("2026-11-22T02:00:00Z  refused")] != []
    assert NO_SUCH_CUSTOMER in out
    assert not {"\x1b", "…"} & set(out)
    assert max(map(len, operate("usage", "acme", "--plot").out.splitlines())) <= 120


def test_an_hour_that_came_after_its_invoice_is_listed_and_drawn(stack: Stack, operate: Operate) -> None:
    readings = {"temperature_readings": 9}
    UsageRecord("acme", "2026-11-23T06:00:00Z", temperature_readings=9, reported={}, late=readings).save()

    UsageRecord("acme", "2026-11-23T07:00:00Z", carried={"temperature_readings": 500}).save()

    assert "late" in operate("usage", "acme").out
    assert "carried in: 500 temperature_readings" in operate("usage", "acme").out
    assert "L late (1 h)" in operate("usage", "acme", "--plot").out


@pytest.mark.parametrize("command", [["usage", "nobody"], ["periods", "nobody"]])
def test_an_organisation_that_no_table_knows_is_no_empty_answer(
    stack: Stack, operate: Operate, command: list[str]
) -> None:
    ran = operate(*command)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("UnknownOrganizationError: No table knows the organisation nobody")


def test_an_organisation_without_usage_is_told_from_an_unknown_one(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    ran = operate("usage", "acme")
    assert (ran.code, "No usage from 2026-11-16T08:00:00Z to 2026-11-23T08:00:00Z." in ran.out) == (0, True)
    assert operate("--json", "usage", "acme").json["hours"] == []
