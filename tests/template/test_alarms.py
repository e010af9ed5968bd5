"""House rules for what is watched: every failure has an alarm, and no alarm or widget watches what nobody emits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from billing.telemetry import METRICS
from tests.template.expanded import expand, referred
from tests.template.source import LAYER, ROOT, metrics_counted
from tests.template.test_functions import FUNCTIONS, SERVICES

NAMESPACE = "SensorBilling/${AWS::StackName}"
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
AWS_METRICS = {
    "AWS/Lambda": ({"Errors", "Throttles", "Duration", "Invocations"}, [{"FunctionName"}]),
    "AWS/SQS": ({"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}, [{"QueueName"}]),
    "AWS/ApiGateway": (
        {"4xx", "5xx", "Count", "Latency", "IntegrationLatency"},
        [{"ApiId"}, {"ApiId", "Stage"}, {"ApiId", "Method", "Resource", "Stage"}],
    ),
}
RUNBOOK = ROOT / "docs" / "runbook.md"


class Watched(NamedTuple):
    """Hold one metric that an alarm or a widget names; a dimension without a value matches any."""

    where: str
    namespace: str
    metric: str
    dimensions: dict[str, str | None]


def _alarms() -> dict[str, dict[str, Any]]:
    alarms = expand(AlarmEmail="ops@example.com").of_type("AWS::CloudWatch::Alarm")
    return {name: alarm["Properties"] for name, alarm in alarms.items()}


def _text(value: Any) -> str:
    """Return a value as it is written in `Fn::Sub`: `${HttpApi}`, `${Queue.QueueName}`."""
    if isinstance(value, dict) and "Ref" in value:
        return f"${{{value['Ref']}}}"
    if isinstance(value, dict) and "Fn::GetAtt" in value:
        return f"${{{'.'.join(value['Fn::GetAtt'])}}}"
    if isinstance(value, dict) and "Fn::Sub" in value:
        return str(value["Fn::Sub"])
    return str(value)


def _watched_by_alarms() -> Iterator[Watched]:
    for name, alarm in _alarms().items():
        if "MetricName" in alarm:
            dimensions: dict[str, str | None] = {item["Name"]: _text(item["Value"]) for item in alarm["Dimensions"]}
            yield Watched(name, _text(alarm["Namespace"]), alarm["MetricName"], dimensions)
        else:
            for query in alarm["Metrics"]:
                yield _watched_by_query(name, _text(query["Expression"]))


def _watched_by_query(where: str, query: str) -> Watched:
    match = re.match(r'SELECT \w+\((\w+)\) FROM SCHEMA\("([^"]+)", ([\w, ]+)\)', query)
    assert match, f"{where}: not understood: {query}"
    metric, namespace, dimensions = match.groups()
    return Watched(where, namespace, metric, {name.strip(): None for name in dimensions.split(",")})


def _dashboard() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(_text(expand().properties("Dashboard")["DashboardBody"]))
    return body


def _watched_by_widgets() -> Iterator[Watched]:
    for widget in _dashboard()["widgets"]:
        title = widget["properties"].get("title", "")
        for line in widget["properties"].get("metrics", []):
            if isinstance(line[0], dict):
                match = re.match(r"SEARCH\('\{\"([^\"]+)\",([\w,]+)\} MetricName=\"(\w+)\"'", line[0]["expression"])
                assert match, f"{title}: not understood: {line}"
                namespace, dimensions, metric = match.groups()
                yield Watched(title, namespace, metric, dict.fromkeys(dimensions.split(",")))
            else:
                names = [item for item in line if isinstance(item, str)]
                pairs = dict(zip(names[2::2], names[3::2], strict=True))
                yield Watched(title, names[0], names[1], {**pairs})


@cache
def _emitted() -> set[tuple[str, str]]:
    """Return (service, metric) of everything the functions' code counts."""
    return {
        (SERVICES[function], metric)
        for function, (folder, _) in FUNCTIONS.items()
        for metric in metrics_counted(ROOT / folder / "app.py")
    }


WATCHED = [*_watched_by_alarms(), *_watched_by_widgets()]


@pytest.mark.parametrize("watched", WATCHED, ids=lambda watched: f"{watched.where}: {watched.metric}")
def test_what_is_watched_is_emitted(watched: Watched) -> None:
    if watched.namespace in AWS_METRICS:
        names, dimension_sets = AWS_METRICS[watched.namespace]
        assert watched.metric in names
        assert set(watched.dimensions) in dimension_sets
        resources = expand().resources
        for value in watched.dimensions.values():
            assert value is not None
            for logical_id in re.findall(r"\$\{(\w+)(?:\.\w+)?\}", value):
                assert logical_id in resources
        return
    assert watched.namespace == NAMESPACE
    definition = METRICS[watched.metric]
    assert set(watched.dimensions) == {"service"} | ({definition.dimension} - {""})
    service = watched.dimensions["service"]
    services = {service} if service is not None else {name for name, _ in _emitted()}
    assert any((name, watched.metric) in _emitted() for name in services)


def test_every_metric_of_the_code_is_emitted_by_a_function() -> None:
    assert set(METRICS) == {metric for _, metric in _emitted()}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_of_the_code_is_on_the_dashboard(name: str) -> None:
    assert name in {watched.metric for watched in _watched_by_widgets()}


def test_metrics_are_written_in_the_stack_s_namespace_with_the_dimensions_that_are_watched() -> None:
    program = (
        "from billing.telemetry import count, flush\n"
        "count('runs_succeeded')\n"
        "count('hours_refused', dimension='no_customer')\n"
        "flush()\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(LAYER),
        "POWERTOOLS_SERVICE_NAME": "metering",
        "POWERTOOLS_METRICS_NAMESPACE": "SensorBilling/some-stack",
    }
    answer = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)

    written = {}
    for line in answer.stdout.decode().splitlines():
        (directive,) = json.loads(line)["_aws"]["CloudWatchMetrics"]
        (metric,) = directive["Metrics"]
        written[metric["Name"]] = (directive["Namespace"], [sorted(names) for names in directive["Dimensions"]])
    assert written == {
        "runs_succeeded": ("SensorBilling/some-stack", [["service"]]),
        "hours_refused": ("SensorBilling/some-stack", [["reason", "service"]]),
    }


def test_every_function_writes_its_metrics_to_the_namespace_that_the_alarms_watch() -> None:
    for function in FUNCTIONS:
        assert _text(expand().environment(function)["POWERTOOLS_METRICS_NAMESPACE"]) == NAMESPACE


def _queues_that_receive_failures() -> set[str]:
    template = expand()
    found = set()
    for queue in template.of_type("AWS::SQS::Queue").values():
        if "RedrivePolicy" in queue["Properties"]:
            found.add(referred(queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]))
    for config in template.of_type("AWS::Lambda::EventInvokeConfig").values():
        found.add(referred(config["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]))
    for schedule in template.of_type("AWS::Scheduler::Schedule").values():
        found.add(referred(schedule["Properties"]["Target"]["DeadLetterConfig"]["Arn"]))
    return found


def test_failures_end_in_the_four_queues() -> None:
    assert _queues_that_receive_failures() == {
        "AsyncFailureDeadLetterQueue",
        "ReconciliationDeadLetterQueue",
        "SchedulerDeadLetterQueue",
        "UsageMeteringDeadLetterQueue",
    }


@pytest.mark.parametrize("queue", sorted(_queues_that_receive_failures()))
def test_a_queue_that_receives_failures_has_an_alarm_and_keeps_them_two_weeks(queue: str) -> None:
    dead_letters = [
        alarm
        for alarm in _alarms().values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
        and alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
    ]

    (alarm,) = dead_letters
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert expand().properties(queue)["MessageRetentionPeriod"] == 14 * 24 * 3600


@pytest.mark.parametrize("queue", ["UsageMeteringQueue", "ReconciliationQueue"])
def test_every_work_queue_gives_up_into_a_queue_of_its_own_kind(queue: str) -> None:
    properties = expand().properties(queue)
    dead_letters = expand().properties(referred(properties["RedrivePolicy"]["deadLetterTargetArn"]))

    assert properties.get("FifoQueue") == dead_letters.get("FifoQueue")


@pytest.mark.parametrize("schedule", ["UsageMeteringFunctionHourly", "UsageReconciliationFunctionDaily"])
def test_a_schedule_says_when_it_was_meant_and_never_collides_with_another_stack_s(schedule: str) -> None:
    properties = expand().properties(schedule)

    assert json.loads(properties["Target"]["Input"]) == {"scheduled_time": "<aws.scheduler.scheduled-time>"}
    assert properties["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert properties["ScheduleExpressionTimezone"] == "UTC"
    assert "Name" not in properties


def test_usage_is_sent_every_hour_five_minutes_past() -> None:
    assert expand().properties("UsageMeteringFunctionHourly")["ScheduleExpression"] == "cron(5 * * * ? *)"


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
def test_every_function_s_errors_and_throttles_have_an_alarm(function: str, metric: str) -> None:
    watched = [item for item in _watched_by_alarms() if item.metric == metric]

    assert {"FunctionName": f"${{{function}}}"} in [item.dimensions for item in watched]


@pytest.mark.parametrize(
    "metric",
    [
        "comparisons_failed",
        "customer_conflict",
        "deliveries_failed",
        "deliveries_rejected",
        "drift_events",
        "hours_compared",
        "hours_refused",
        "meter_error_reports",
        "meter_misconfigured",
        "no_meter_found",
        "oldest_due_hour_age",
        "runs_failed",
        "runs_succeeded",
        "unknown_subscription",
    ],
)
def test_what_a_person_must_act_on_has_an_alarm(metric: str) -> None:
    assert metric in {item.metric for item in _watched_by_alarms()}


def test_a_broken_metering_looks_different_from_no_usage() -> None:
    alarms = _alarms()

    # Silence is breaching: a run without usage still counts itself as succeeded.
    assert alarms["NoRunAlarm"]["TreatMissingData"] == "breaching"
    assert alarms["NoRunAlarm"]["ComparisonOperator"] == "LessThanThreshold"
    # No alarm fires because little or nothing was counted.
    usage = {"hours_due", "hours_settled", "events_sent"}
    assert usage.isdisjoint(item.metric for item in _watched_by_alarms())


def test_alarms_about_runs_keep_quiet_where_the_schedule_is_off() -> None:
    off = expand(ScheduleState="DISABLED").of_type("AWS::CloudWatch::Alarm")

    silent = {name for name, alarm in off.items() if alarm["Properties"].get("ActionsEnabled") is False}
    assert silent == {"NoComparisonAlarm", "NoRunAlarm"}


@pytest.mark.parametrize("name", _alarms())
def test_an_alarm_tells_somebody_carries_the_stack_s_name_and_stands_in_the_runbook(name: str) -> None:
    alarm = _alarms()[name]
    alarm_name = _text(alarm["AlarmName"]).removeprefix("${AWS::StackName}-")

    assert [referred(action) for action in alarm["AlarmActions"]] == ["AlarmTopic"]
    assert alarm["TreatMissingData"] in ("breaching", "notBreaching")
    assert alarm["AlarmDescription"].endswith(f"See docs/runbook.md#{alarm_name}")
    assert f"### {alarm_name}\n" in RUNBOOK.read_text(encoding="utf-8")


def test_the_runbook_has_no_alarm_that_does_not_exist() -> None:
    names = {_text(alarm["AlarmName"]).removeprefix("${AWS::StackName}-") for alarm in _alarms().values()}
    chapter = RUNBOOK.read_text(encoding="utf-8").split("## Alarms\n")[1].split("\n## ")[0]

    assert set(re.findall(r"^### (.+)$", chapter, re.MULTILINE)) == names


def test_the_alarm_address_is_subscribed_where_one_is_given() -> None:
    assert expand().of_type("AWS::SNS::Subscription") == {}
    subscriptions = expand(AlarmEmail="ops@example.com").of_type("AWS::SNS::Subscription")
    assert subscriptions["AlarmEmailSubscription"]["Properties"]["Endpoint"] == "ops@example.com"


def test_the_dashboard_s_widgets_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in _dashboard()["widgets"]:
        area = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not taken & area
        assert widget["x"] + widget["width"] <= 24
        taken |= area
