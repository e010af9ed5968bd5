"""House rules for alarms: every failure has one, each tells somebody, and the runbook says what to do."""

from __future__ import annotations

import json
import re

import pytest

from billing.api.problems import TITLES
from tests.template.expanded import expand, referred
from tests.template.functions import FUNCTIONS
from tests.template.source import ROOT
from tests.template.watched import alarms, text, watched_by_alarms

PAGES = {
    f"docs/{name}": (ROOT / "docs" / name).read_text(encoding="utf-8")
    for name in ("runbook.md", "invoices.md", "ingestion.md", "events.md")
}
"""Where the sections about alarms stand, and what these pages say."""


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
def test_every_function_s_errors_and_throttles_have_an_alarm(function: str, metric: str) -> None:
    watched = [item for item in watched_by_alarms() if item.metric == metric]

    assert {"FunctionName": f"${{{function}}}"} in [item.dimensions for item in watched]


@pytest.mark.parametrize(
    "metric",
    [
        "changes_damaged",
        "comparisons_failed",
        "customer_conflict",
        "deliveries_failed",
        "deliveries_rejected",
        "drift_events",
        "hours_compared",
        "hours_refused",
        "invoices_differing",
        "invoices_held",
        "meter_error_reports",
        "meter_misconfigured",
        "no_meter_found",
        "numbers_missing",
        "oldest_due_hour_age",
        "periods_damaged",
        "runs_failed",
        "runs_succeeded",
        "unknown_subscription",
        "usage_events",
        "usage_not_invoiced",
        "usage_rejected",
    ],
)
def test_what_a_person_must_act_on_has_an_alarm(metric: str) -> None:
    assert metric in {item.metric for item in watched_by_alarms()}


def test_what_a_caller_did_wrong_is_no_error_of_the_api() -> None:
    (query,) = alarms()["ApiErrorsAlarm"]["Metrics"]
    left_out = set(re.findall(r"status != '(\d+)'", text(query["Expression"])))

    assert {str(status.value) for status in TITLES if 400 <= status < 500} <= left_out
    assert not [status for status in left_out if status >= "500"]


def test_a_broken_metering_looks_different_from_no_usage() -> None:
    no_run = alarms()["NoRunAlarm"]

    # Silence is breaching: a run without usage still counts itself as succeeded.
    assert no_run["TreatMissingData"] == "breaching"
    assert no_run["ComparisonOperator"] == "LessThanThreshold"
    # No alarm fires because little or nothing was counted.
    usage = {"hours_due", "hours_settled", "events_sent"}
    assert usage.isdisjoint(item.metric for item in watched_by_alarms())


def test_alarms_about_runs_keep_quiet_where_the_schedule_is_off() -> None:
    off = expand(ScheduleState="DISABLED").of_type("AWS::CloudWatch::Alarm")

    silent = {name for name, alarm in off.items() if alarm["Properties"].get("ActionsEnabled") is False}
    assert silent == {"NoComparisonAlarm", "NoRunAlarm"}


def test_hours_that_grow_old_while_the_schedule_is_off_are_measured_and_told() -> None:
    on, off = expand(ScheduleState="ENABLED"), expand(ScheduleState="DISABLED")
    runs = ("UsageMeteringFunctionHourly", "UsageReconciliationFunctionDaily")
    watch = "UsageMeteringFunctionBacklog"

    assert [off.properties(name)["State"] for name in (*runs, watch)] == ["DISABLED", "DISABLED", "ENABLED"]
    assert [on.properties(name)["State"] for name in (*runs, watch)] == ["ENABLED", "ENABLED", "DISABLED"]
    assert json.loads(off.properties(watch)["Target"]["Input"]) == {"measure": "backlog"}
    assert off.properties("OverdueHoursAlarm").get("ActionsEnabled", True) is True


@pytest.mark.parametrize("name", alarms())
def test_an_alarm_tells_somebody_carries_the_stack_s_name_and_has_a_page_that_says_what_to_do(name: str) -> None:
    alarm = alarms()[name]
    alarm_name = text(alarm["AlarmName"]).removeprefix("${AWS::StackName}-")

    assert [referred(action) for action in alarm["AlarmActions"]] == ["AlarmTopic"]
    assert alarm["TreatMissingData"] in ("breaching", "notBreaching")
    page, _, anchor = alarm["AlarmDescription"].rpartition("See ")[2].partition("#")
    assert anchor == alarm_name
    assert f"### {alarm_name}\n" in PAGES[page]


def test_each_alarm_stands_on_one_page_and_no_page_has_one_that_does_not_exist() -> None:
    names = [text(alarm["AlarmName"]).removeprefix("${AWS::StackName}-") for alarm in alarms().values()]
    chapters = [page.split("## Alarms\n")[1].split("\n## ")[0] for page in PAGES.values()]

    assert sorted(re.findall(r"^### (.+)$", "".join(chapters), re.MULTILINE)) == sorted(names)


def test_the_alarm_address_is_subscribed_where_one_is_given() -> None:
    assert expand().of_type("AWS::SNS::Subscription") == {}
    subscriptions = expand(AlarmEmail="ops@example.com").of_type("AWS::SNS::Subscription")
    assert subscriptions["AlarmEmailSubscription"]["Properties"]["Endpoint"] == "ops@example.com"
