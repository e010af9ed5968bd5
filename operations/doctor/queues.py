"""The usage queue and the dead-letter queues."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta

from operations.doctor.findings import Finding, bad, counted, from_error, good, unknown
from operations.doctor.place import Place
from operations.session import FAILURES

# The output with the queue's address, and what to do where something is on it. One more queue is one more line.
DEAD_LETTER_QUEUES = {
    "UsageDeadLetterQueueUrl": "`operate rejected` lists them, and puts them back.",
    "SchedulerDeadLetterQueueUrl": "See scheduler-dead-letters in docs/runbook.md.",
    "AsyncFailureDeadLetterQueueUrl": "See async-failure-dead-letters in docs/runbook.md.",
    "UsageMeteringDeadLetterQueueUrl": "See metering-dead-letters in docs/runbook.md.",
    "ReconciliationDeadLetterQueueUrl": "See reconciliation-dead-letters in docs/runbook.md.",
    "BillingEventsDeadLetterQueueUrl": "See events-dead-letters in docs/events.md.",
}
USAGE_QUEUE = "UsageQueueUrl"
# Without a stack: the queues that a variable names.
VARIABLES = {USAGE_QUEUE: "USAGE_QUEUE_URL", "UsageDeadLetterQueueUrl": "USAGE_DEAD_LETTER_QUEUE_URL"}
# As the alarm usage-waits has it.
WAITS_AT_MOST = timedelta(minutes=15)


def check_usage_queue(place: Place) -> Iterator[Finding]:
    """Count what waits, and ask CloudWatch for how long."""
    url = _url(place, USAGE_QUEUE)
    if url is None:
        yield unknown("Usage queue", "which it is, is not known", "Give --stack, or set USAGE_QUEUE_URL.")
        return
    count = _count(place, url)
    age = _oldest(place, url.rpartition("/")[2]) if count and place.stack is not None else None
    yield judge_usage_queue(count, age)


def judge_usage_queue(count: int, age: timedelta | None) -> Finding:
    """Judge how many messages wait, and the oldest's age, which is None where it is not known."""
    subject = "Usage queue"
    if not count:
        return good(subject, "nothing waits")
    if age is None:
        return unknown(subject, f"{counted(count, 'message')}, since when is not known", "Look again in some minutes.")
    detail = f"{counted(count, 'message')}, the oldest for {int(age.total_seconds()) // 60} minutes"
    if age > WAITS_AT_MOST:
        return bad(subject, detail, "See usage-waits in docs/ingestion.md.")
    return good(subject, detail)


def check_dead_letters(place: Place) -> Iterator[Finding]:
    """Count what is on each dead-letter queue; one that cannot be read stops no other."""
    for output, advice in DEAD_LETTER_QUEUES.items():
        url, subject = _url(place, output), output.removesuffix("Url")
        if url is not None:
            try:
                yield judge_dead_letters(subject, _count(place, url), advice)
            except FAILURES as error:
                yield from_error(subject, error)
        elif place.stack is not None:
            yield unknown(subject, "the stack has no such output", "Deploy this version.")


def judge_dead_letters(subject: str, count: int, advice: str) -> Finding:
    """Judge a dead-letter queue by how much is on it."""
    return bad(subject, counted(count, "message"), advice) if count else good(subject, "empty")


def _url(place: Place, output: str) -> str | None:
    return place.outputs.get(output) or os.environ.get(VARIABLES.get(output, ""), "") or None


def _count(place: Place, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = place.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def _oldest(place: Place, queue_name: str) -> timedelta | None:
    """Return the age of the oldest message as CloudWatch had it last."""
    query = {
        "Id": "age",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": queue_name}],
            },
            "Period": 300,
            "Stat": "Maximum",
        },
    }
    start: datetime = place.now - timedelta(minutes=20)
    response = place.client("cloudwatch").get_metric_data(MetricDataQueries=[query], StartTime=start, EndTime=place.now)
    (result,) = response["MetricDataResults"]
    newest = max(zip(result["Timestamps"], result["Values"], strict=True), default=None)
    return None if newest is None else timedelta(seconds=newest[1])
