from __future__ import annotations

from datetime import timedelta

import pytest

from billing import clock, record_readings
from billing.errors import ContentionError
from billing.metering.plan import UNLINKED
from billing.tables.usage import UsageRecord, make_refused_due
from operations import backlog
from programs.local.stack import Stack
from tests.operations.conftest import (
    START,
    Operate,
    record_usage,
    save_refused,
)


def test_status_tells_of_nothing_when_all_is_well(stack: Stack, operate: Operate) -> None:
    ran = operate("--json", "status")
    assert ran.json == {"oldest_due_hour_end": None, "due_hours": 0, "refused_hours": {}}


def test_status_counts_what_is_due_and_refused(stack: Stack, operate: Operate) -> None:
    record_usage("acme")
    record_readings("globex", 1, clock.utc_now())  # its hour is still open
    save_refused("globex", "2026-11-20T08:00:00Z", "no_such_customer: gone")
    save_refused("globex", "2026-11-20T09:00:00Z", "no_customer: none")
    save_refused("initech", "2026-11-20T09:00:00Z", "no_customer: none")
    save_refused("initech", "2026-10-01T09:00:00Z", "too_old: cannot be billed any more")
    ran = operate("--json", "status")
    assert ran.json == {
        "oldest_due_hour_end": "2026-11-23T06:00:00Z",
        "due_hours": 3,
        "refused_hours": {"no_customer": 2, "no_such_customer": 1},
    }
    told = operate("status").out
    assert "2026-11-23T06:00:00Z (2 h 0 min ago)" in told
    assert "2 no_customer, 1 no_such_customer" in told


def test_due_lists_the_oldest_first(stack: Stack, operate: Operate) -> None:
    for organization_id in ("acme", "globex", "initech"):
        record_usage(organization_id)
    ran = operate("--json", "due", "--limit", "4")
    assert [(hour["organization_id"], hour["window_start"]) for hour in ran.json["hours"]] == [
        ("acme", "2026-11-23T05:00:00Z"),
        ("globex", "2026-11-23T05:00:00Z"),
        ("initech", "2026-11-23T05:00:00Z"),
        ("acme", "2026-11-23T06:00:00Z"),
    ]
    assert "initech" in operate("due").out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["acme 01", "acme 02", "globex 02"]),
        (["--organization", "acme"], ["acme 01", "acme 02"]),
        (["--reason", "no_customer"], ["acme 02", "globex 02"]),
        (["--since", "2026-11-20T02:00:00Z"], ["acme 02", "globex 02"]),
        (["--organization", "acme", "--reason", "no_customer"], ["acme 02"]),
        (["--organization", "globex", "--reason", "no_such_customer"], []),
    ],
)
def test_requeue_refused_puts_back_what_was_asked_for(
    options: list[str], expected: list[str], stack: Stack, operate: Operate
) -> None:
    save_refused("acme", "2026-11-20T01:00:00Z", "no_such_customer: gone")
    save_refused("acme", "2026-11-20T02:00:00Z", "no_customer: none")
    save_refused("globex", "2026-11-20T02:00:00Z", "no_customer: none")
    save_refused("globex", "2026-10-01T02:00:00Z", "no_customer: older than Stripe takes")

    planned = operate("--json", "requeue-refused", *options, "--dry-run")
    assert stack.due_hours() == []
    assert [f"{hour['organization_id']} {hour['window_start'][11:13]}" for hour in planned.json["hours"]] == expected

    done = operate("--json", "requeue-refused", *options)
    assert done.json["made_due"] == len(expected)
    assert [f"{organization_id} {hour[11:13]}" for organization_id, hour in stack.due_hours()] == expected
    assert all(stack.usage(*key).refused is None for key in stack.due_hours())


def test_requeue_refused_lists_what_was_counted_and_what_stripe_has(stack: Stack, operate: Operate) -> None:
    UsageRecord(
        "acme",
        "2026-11-20T01:00:00Z",
        active_sensors=4,
        temperature_readings=10,
        carried={"temperature_readings": 500},
        reported={"temperature_readings": 7},
        refused="meter_event_invalid_value: no",
    ).save()
    listed = ["acme", "2026-11-20T01:00:00Z", "temperature_readings", "510", "7", "-503", "meter_event_invalid_value:"]

    planned, planned_for_people = (
        operate("--json", "requeue-refused", "--dry-run").json,
        operate("requeue-refused", "--dry-run"),
    )
    done = operate("--json", "requeue-refused").json

    assert planned["hours"][0]["meters"] == {
        "active_sensors": {"counted": 4, "at_stripe": 0, "difference": -4},
        "temperature_readings": {"counted": 510, "at_stripe": 7, "difference": -503},
    }
    assert [{**hour, "outcome": None} for hour in done["hours"]] == planned["hours"]
    assert [hour["outcome"] for hour in done["hours"]] == ["made_due"]
    assert listed in [line.split()[:7] for line in planned_for_people.out.splitlines()]
    assert "1 hours would become due." in planned_for_people.out


@pytest.mark.parametrize("reason", ["no_custommer", "gone"])
def test_a_reason_that_is_no_code_is_refused_with_the_codes(stack: Stack, operate: Operate, reason: str) -> None:
    save_refused("acme", "2026-11-20T01:00:00Z", "customer_deleted: Stripe's own code")
    ran = operate("--json", "requeue-refused", "--reason", reason)
    assert (ran.code, ran.json["error"]["type"]) == (2, "UsageError")
    assert [code for code in (*UNLINKED, "customer_deleted") if code not in ran.json["error"]["message"]] == []
    assert len(operate("--json", "requeue-refused", "--reason", "customer_deleted").json["hours"]) == 1


def test_the_help_of_reason_has_the_codes(operate: Operate) -> None:
    text = operate("requeue-refused", "--help").out
    assert [code for code in backlog.CODES if code not in text] == []


def test_requeue_refused_of_an_unknown_organisation_fails(stack: Stack, operate: Operate) -> None:
    assert operate("--json", "requeue-refused", "--organization", "nobody").code == 1
    record_usage("acme")
    assert operate("--json", "requeue-refused", "--organization", "acme").json["hours"] == []


def test_an_hour_that_cannot_be_put_back_does_not_stop_the_others(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_refused("acme", "2026-11-20T01:00:00Z", "no_customer: none")
    save_refused("acme", "2026-11-20T02:00:00Z", "no_customer: none")
    requeue = backlog.requeue

    def throttled(hour: backlog.RefusedHour) -> bool:
        if hour.window_start == "2026-11-20T01:00:00Z":
            raise ContentionError("others")
        return requeue(hour)

    monkeypatch.setattr(backlog, "requeue", throttled)
    ran = operate("--json", "requeue-refused")
    assert (ran.code, [hour["outcome"] for hour in ran.json["hours"]]) == (1, ["failed", "made_due"])
    assert "ContentionError: others" in operate("requeue-refused").out


def test_requeue_refused_leaves_an_hour_that_was_put_back_meanwhile(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_refused("acme", "2026-11-20T01:00:00Z", "no_customer: none")

    found = backlog.refused_of("acme", START - timedelta(days=30))
    make_refused_due(UsageRecord.get("acme", "2026-11-20T01:00:00Z"))
    assert [backlog.requeue(hour) for hour in found] == [False]


def test_refused_hours_are_billed_after_their_customer_came_and_they_were_put_back(
    stack: Stack, operate: Operate
) -> None:
    stack.subscribe("acme", at=START - timedelta(hours=3))
    record_usage("acme")
    stack.meter()
    assert operate("--json", "status").json["refused_hours"] == {"no_customer": 3}
    stack.deliver_all()
    operate("requeue-refused", "--organization", "acme")
    stack.meter()
    assert stack.differences(["acme"], START - timedelta(days=1), START) == []
