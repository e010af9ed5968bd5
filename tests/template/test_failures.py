"""House rules for schedules, and for what fails for good: it ends in a queue that somebody is told of."""

from __future__ import annotations

import json

import pytest

from billing.metering_requests import MINUTES_OF_THE_SCHEDULE
from tests.template.expanded import expand, referred
from tests.template.watched import alarms


def _queues_that_receive_failures() -> set[str]:
    template = expand()
    queues = set()
    for queue in template.of_type("AWS::SQS::Queue").values():
        if "RedrivePolicy" in queue["Properties"]:
            queues.add(referred(queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]))
    for config in template.of_type("AWS::Lambda::EventInvokeConfig").values():
        queues.add(referred(config["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]))
    for schedule in template.of_type("AWS::Scheduler::Schedule").values():
        queues.add(referred(schedule["Properties"]["Target"]["DeadLetterConfig"]["Arn"]))
    for mapping in template.of_type("AWS::Lambda::EventSourceMapping").values():
        if "DestinationConfig" in mapping["Properties"]:
            queues.add(referred(mapping["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]))
    return queues


def test_failures_end_in_the_five_queues() -> None:
    assert _queues_that_receive_failures() == {
        "AsyncFailureDeadLetterQueue",
        "BillingEventsDeadLetterQueue",
        "ReconciliationDeadLetterQueue",
        "SchedulerDeadLetterQueue",
        "UsageDeadLetterQueue",
        "UsageMeteringDeadLetterQueue",
    }


@pytest.mark.parametrize("queue", sorted(_queues_that_receive_failures()))
def test_a_queue_that_receives_failures_has_an_alarm_and_keeps_them_two_weeks(queue: str) -> None:
    dead_letters = [
        alarm
        for alarm in alarms().values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
        and alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
    ]

    (alarm,) = dead_letters
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert expand().properties(queue)["MessageRetentionPeriod"] == 14 * 24 * 3600


@pytest.mark.parametrize("queue", ["UsageQueue", "UsageMeteringQueue", "ReconciliationQueue"])
def test_every_work_queue_gives_up_into_a_queue_of_its_own_kind(queue: str) -> None:
    properties = expand().properties(queue)
    dead_letters = expand().properties(referred(properties["RedrivePolicy"]["deadLetterTargetArn"]))

    assert properties.get("FifoQueue") == dead_letters.get("FifoQueue")


@pytest.mark.parametrize(
    "schedule", ["UsageMeteringFunctionHourly", "UsageReconciliationFunctionDaily", "BillingEventsFunctionAccessEnds"]
)
def test_a_schedule_says_when_it_was_meant_and_never_collides_with_another_stack_s(schedule: str) -> None:
    properties = expand().properties(schedule)

    assert json.loads(properties["Target"]["Input"]) == {"scheduled_time": "<aws.scheduler.scheduled-time>"}
    assert properties["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert properties["ScheduleExpressionTimezone"] == "UTC"
    assert "Name" not in properties


def test_usage_is_sent_every_hour_five_minutes_past() -> None:
    assert expand().properties("UsageMeteringFunctionHourly")["ScheduleExpression"] == "cron(5 * * * ? *)"
    # A webhook leaves the hours to it that come up shortly before.
    assert 5 in MINUTES_OF_THE_SCHEDULE
