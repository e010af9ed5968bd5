"""What runs and comparisons tell the alarms: "metering is broken" and "there was no usage" look different."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from billing.errors import MeterMisconfiguredError, UnavailableError
from billing.metering import invocation
from tests.support.due_hours import HOUR, due_hour, put, subscribed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Return what was written in CloudWatch's embedded format: each metric's sum, `name:value` where by dimension."""
    sums: defaultdict[str, float] = defaultdict(float)
    for line in capsys.readouterr().out.splitlines():
        values: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        for directive in values.get("_aws", {}).get("CloudWatchMetrics", ()):
            by = [name for name in directive["Dimensions"][0] if name != "service"]
            for metric in directive["Metrics"]:
                sums[":".join([metric["Name"], *(values[name] for name in by)])] += sum(values[metric["Name"]])
    return dict(sums)


def test_a_run_without_usage_has_succeeded(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.meter()

    assert emitted(capsys) == {
        "oldest_due_hour_age": 0,
        "hours_due": 0,
        "hours_settled": 0,
        "hours_left": 0,
        "events_sent": 0,
        "runs_succeeded": 1,
    }


def test_the_backlog_is_measured_without_a_run(
    stack: Stack, dynamodb: DynamoDBClient, capsys: pytest.CaptureFixture[str]
) -> None:
    put(dynamodb, "UsageTable", [due_hour("acme")])
    stack.advance(hours=1)
    stack.simulator.requests.clear()

    assert stack.metering_app.handler({"measure": "backlog"}, None) == {"oldest_due_hour_age": 300}
    assert emitted(capsys) == {"oldest_due_hour_age": 300}
    assert list(stack.simulator.requests) == []


def test_a_run_tells_what_became_of_the_hours(
    stack: Stack, dynamodb: DynamoDBClient, capsys: pytest.CaptureFixture[str]
) -> None:
    subscribed(stack, dynamodb, ["acme"])
    put(dynamodb, "UsageTable", [due_hour("acme"), due_hour("nobody-s"), due_hour("acme-too", sensors=10**15)])
    stack.advance(hours=1)
    stack.meter()

    told = emitted(capsys)
    assert (told["hours_due"], told["hours_settled"], told["hours_left"], told["events_sent"]) == (3, 1, 0, 2)
    assert (told["hours_refused:no_customer"], told["hours_refused:invalid_usage"]) == (1, 1)
    assert told["oldest_due_hour_age"] == 300
    assert told["runs_succeeded"] == 1, "refusals have an alarm of their own"


def test_a_run_that_sends_nothing_because_of_a_meter_has_failed(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    meters = stack.simulator.account.meters
    meters.deactivate(next(iter(meters.objects)))

    with pytest.raises(MeterMisconfiguredError):
        stack.meter()

    assert emitted(capsys) == {"oldest_due_hour_age": 0, "meter_misconfigured": 1, "runs_failed": 1}


def test_a_run_of_which_a_part_could_not_be_worked_off_has_failed(
    stack: Stack, dynamodb: DynamoDBClient, capsys: pytest.CaptureFixture[str]
) -> None:
    subscribed(stack, dynamodb, ["acme", "damaged"])
    put(dynamodb, "UsageTable", [due_hour("acme"), due_hour("damaged", revision={"S": "one"})])
    stack.advance(hours=1)
    stack.meter()

    told = emitted(capsys)
    assert (told["runs_failed"], told.get("runs_succeeded")) == (1, None)
    assert (told["hours_settled"], told["hours_left"]) == (1, 1)


def test_a_run_that_gave_up_has_failed(
    stack: Stack,
    dynamodb: DynamoDBClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(invocation, "UNIT_EVENTS", 2)
    names = [f"acme-{number}" for number in range(7)]
    subscribed(stack, dynamodb, names)
    put(dynamodb, "UsageTable", [due_hour(name) for name in names])
    stack.advance(hours=1)
    stack.simulator.faults.add("http_503", "/v?/billing/meter_event*", method="POST")

    with pytest.raises(UnavailableError, match="gave up"):
        stack.meter()

    told = emitted(capsys)
    assert (told["runs_failed"], told.get("runs_succeeded")) == (1, None)
    assert (told["hours_due"], told["hours_left"]) == (5, 5)


def test_a_comparison_tells_what_it_compared_and_what_differs(
    stack: Stack, dynamodb: DynamoDBClient, capsys: pytest.CaptureFixture[str]
) -> None:
    subscribed(stack, dynamodb, ["acme", "gone"])
    put(dynamodb, "UsageTable", [due_hour("acme"), due_hour("gone")])
    stack.advance(hours=1)
    stack.meter()
    stack.advance(hours=2)
    (acme,), (gone,) = stack.customers["acme"], stack.customers["gone"]
    assert stack.simulator.account.meter_events.double_hour(acme, "temperature_readings", HOUR.timestamp())
    stack.simulator.account.customers.delete(gone)
    capsys.readouterr()

    stack.reconcile()

    assert emitted(capsys) == {
        "hours_compared": 1,
        "comparisons_failed": 1,
        "drift_events": 1,
        "drift_units": 120,
        "hours_repaired": 0,
        "hours_damaged": 0,
    }
