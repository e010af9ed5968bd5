from __future__ import annotations

from datetime import timedelta

import pytest

from billing import clock, record_readings
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
        (["--organization", "nobody"], []),
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
