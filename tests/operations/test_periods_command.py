from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import record_readings
from billing.clock import format_time
from billing.periods import InvoiceOfPeriod
from billing.tables.periods import PeriodRecord, period_key
from programs.local.stack import Stack
from tests.operations.conftest import START, Operate

OCTOBER = datetime(2026, 10, 23, 8, tzinfo=UTC)
READINGS, SENSORS = "temperature_readings", "active_sensors"
INVOICE = "in_1QabcDEFghiJKLmnoPQRstuv"


def save_period(organization_id: str = "acme", start: datetime = OCTOBER, **attributes: Any) -> None:
    values: dict[str, Any] = {
        "stripe_subscription_id": "sub_1",
        "stripe_customer_id": "cus_1",
        "starts_at": start,
        "ends_at": START,
        "state": "closed",
        "meters": [SENSORS, READINGS],
        "counted": {SENSORS: 40, READINGS: 860},
        "invoices": {INVOICE: InvoiceOfPeriod("paid", {SENSORS: 40, READINGS: 360}, closes=True)},
        "version": 1,
    }
    PeriodRecord(organization_id, period_key("sub_1", start), **(values | attributes)).save()


def test_periods_show_what_was_counted_and_what_was_invoiced(stack: Stack, operate: Operate) -> None:
    save_period()

    (period,) = operate("--json", "periods", "acme").json["periods"]

    assert (period["starts_at"], period["ends_at"]) == ("2026-10-23T08:00:00Z", "2026-11-23T08:00:00Z")
    assert (period["state"], period["told"]) == ("closed", {})
    assert period["meters"] == {
        SENSORS: {"counted": 40, "invoiced": 40, "carried_in": 0},
        READINGS: {"counted": 860, "invoiced": 360, "carried_in": 0},
    }
    assert period["invoices"][INVOICE]["status"] == "paid"


@pytest.mark.parametrize("width", ["80", "200"])
def test_nothing_of_a_period_is_cut_off_whatever_the_width(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    why = f"{READINGS} from 2026-09-23T08:00:00Z to 2026-10-23T08:00:00Z: 500 counted, 0 on {INVOICE}"
    save_period(
        counted={SENSORS: 40, READINGS: 123456789},
        carried={"2026-10-23T08:00:00Z": {READINGS: 500}},
        carried_why=[why],
        told={"late_number": {SENSORS: -12}, "not_carried": {READINGS: 7000}},
    )
    monkeypatch.setenv("COLUMNS", width)

    out = operate("periods", "acme").out

    assert "acme  2026-10-23T08:00:00Z – 2026-11-23T08:00:00Z  closed" in out
    told = ("123456789", "late_number -12", "not_carried 7000", f"{INVOICE} paid", "carried: temperature_readings")
    assert [text for text in told if text not in out] == []
    assert "…" not in out
    assert "".join(why.split()) in "".join(out.split())
    assert max(map(len, out.splitlines())) <= int(width)


def test_told_leaves_out_periods_about_which_there_is_nothing_to_tell(stack: Stack, operate: Operate) -> None:
    save_period("quiet")
    save_period("loud", told={"too_much": {READINGS: 5}})
    save_period("absent", missing=[SENSORS])
    PeriodRecord("broken", "sub_1 2026-10-23T08:00:00Z", version=1).save()

    periods = operate("--json", "periods", "--told").json["periods"]

    assert {period["organization_id"]: period["told"] for period in periods} == {
        "loud": {"too_much": {READINGS: 5}},
        "absent": {"numbers_missing": {SENSORS: None}},
        "broken": {"damaged": {}},
    }
    out = operate("periods", "--told").out
    assert "too_much 5" in out
    assert "numbers_missing" in out
    assert "damaged" in out
    assert len(operate("--json", "periods").json["periods"]) == 4


def test_an_open_period_shows_what_it_has_counted_so_far(stack: Stack, operate: Operate) -> None:
    began = START - timedelta(days=3)
    stack.subscribe("acme", at=began)
    stack.deliver_all()
    record_readings("acme", 7, START - timedelta(hours=2))

    (period,) = operate("--json", "periods", "acme").json["periods"]

    assert (period["starts_at"], period["ends_at"], period["state"]) == (
        format_time(began),
        "2026-12-20T08:00:00Z",
        "open",
    )
    assert period["meters"][READINGS] == {"counted": 7, "invoiced": 0, "carried_in": 0}
    assert "acme  2026-11-20T08:00:00Z – 2026-12-20T08:00:00Z  open" in operate("periods", "acme").out


def test_a_draft_says_until_when_it_waits(stack: Stack, operate: Operate) -> None:
    save_period(state="draft", finalizes_at="2026-11-23T09:30:00Z", draft_shard=1)

    assert "the draft waits until 2026-11-23T09:30:00Z" in operate("periods", "acme").out


def test_an_organisation_without_periods_is_told(stack: Stack, operate: Operate) -> None:
    record_readings("acme", 7, START - timedelta(hours=2))
    assert "No billing periods." in operate("periods", "acme").out
    assert operate("--json", "periods", "acme").json == {"periods": []}
