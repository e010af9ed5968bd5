"""What starts the runs, when the last one succeeded, which alarms are on, and whom they reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from billing.clock import format_time, hour_of
from operations.doctor.findings import Finding, bad, good, named
from operations.doctor.place import Place
from operations.last_runs import LastRuns, last_runs

# The schedules of template.yaml, as SAM names them.
SCHEDULES = {"UsageMeteringFunctionHourly": "Hourly run", "UsageReconciliationFunctionDaily": "Daily comparison"}
# As the alarm metering-does-not-run has it.
LATE_AFTER = timedelta(hours=2)
TOPIC = "AlarmTopicArn"


def check_schedules(place: Place) -> Iterator[Finding]:
    """Ask EventBridge Scheduler for the state of both schedules."""
    wanted = place.parameters.get("ScheduleState", "ENABLED")
    for logical_id, subject in SCHEDULES.items():
        name = place.resources.get(logical_id)
        state = place.client("scheduler").get_schedule(Name=name)["State"] if name else None
        yield judge_schedule(subject, state, wanted, place.environment)


def judge_schedule(subject: str, state: str | None, wanted: str, environment: str) -> Finding:
    """Judge a schedule's state by ScheduleState: off is right only where that says so, and not outside of dev."""
    if state is None:
        return bad(subject, "there is no schedule", "Deploy again.")
    if state != wanted:
        return bad(subject, f"{state}, and ScheduleState is {wanted}: changed outside the stack", "Deploy again.")
    if state != "ENABLED" and environment != "dev":
        return bad(subject, f"off, in {environment}: hours wait", "Deploy with ScheduleState=ENABLED.")
    return good(subject, "on" if state == "ENABLED" else "off, as ScheduleState says")


def check_runs(place: Place) -> Iterator[Finding]:
    """Ask CloudWatch for the runs of the past day."""
    is_on = place.parameters.get("ScheduleState", "ENABLED") == "ENABLED"
    assert place.stack is not None  # noqa: S101  # else this check is not run
    runs = last_runs(place.client("cloudwatch"), place.stack, place.now)
    yield judge_runs(runs, place.now, is_on=is_on)


def judge_runs(runs: LastRuns, now: datetime, *, is_on: bool) -> Finding:
    """Judge when the last run succeeded; where the schedule is off there is none to be."""
    subject = "Last successful run"
    when = f"in the hour from {format_time(runs.last_success)}" if runs.last_success else "none in the past day"
    failed = f"; {runs.failed} failed in the past day" if runs.failed else ""
    is_late = runs.last_success is None or runs.last_success < hour_of(now) - LATE_AFTER
    if is_late and is_on:
        advice = "See metering-does-not-run in docs/runbook.md. A new stack has its first run at five past the hour."
        return bad(subject, when + failed, advice)
    return good(subject, when + failed)


def check_alarms(place: Place) -> Iterator[Finding]:
    """Ask CloudWatch which of the stack's alarms are on."""
    pages = (
        place.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNamePrefix=f"{place.stack}-", StateValue="ALARM")
    )
    names = [each["AlarmName"] for page in pages for each in page["MetricAlarms"]]
    yield judge_alarms([name.removeprefix(f"{place.stack}-") for name in names])


def judge_alarms(names: Sequence[str]) -> Finding:
    """Judge the alarms that are on."""
    if names:
        return bad("Alarms", f"on: {named(names)}", "docs/runbook.md has a section for each.")
    return good("Alarms", "none is on")


def check_subscribers(place: Place) -> Iterator[Finding]:
    """Ask SNS who gets the alarms."""
    topic = place.outputs[TOPIC]
    pages = place.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    yield judge_subscribers([each for page in pages for each in page["Subscriptions"]], place.environment)


def judge_subscribers(subscriptions: Sequence[Mapping[str, Any]], environment: str) -> Finding:
    """Judge who gets the alarms; their addresses are not told."""
    subject = "Alarms' receivers"
    # https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html
    confirmed = [each for each in subscriptions if str(each["SubscriptionArn"]).startswith("arn:")]
    if confirmed:
        return good(subject, f"{len(confirmed)} confirmed")
    if subscriptions:
        advice = "Confirm it by the mail that AWS sent."
        return bad(subject, f"{len(subscriptions)}, and nobody has confirmed", advice)
    if environment == "dev":
        return good(subject, "nobody, in dev")
    return bad(subject, f"nobody, in {environment}", "Set AlarmEmail and deploy, or subscribe who is on duty.")
