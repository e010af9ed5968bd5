"""What alarms and the dashboard watch, as the template has it, and what the functions' code emits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from tests.template.expanded import expand
from tests.template.functions import FUNCTIONS, SERVICES
from tests.template.source import ROOT, metrics_counted

NAMESPACE = "SensorBilling/${AWS::StackName}"
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
AWS_METRICS = {
    "AWS/Lambda": ({"Errors", "Throttles", "Duration", "Invocations", "IteratorAge"}, [{"FunctionName"}]),
    "AWS/SQS": ({"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}, [{"QueueName"}]),
    "AWS/ApiGateway": (
        {"4xx", "5xx", "Count", "Latency", "IntegrationLatency"},
        [{"ApiId"}, {"ApiId", "Stage"}, {"ApiId", "Method", "Resource", "Stage"}],
    ),
}


class Watched(NamedTuple):
    """One metric that an alarm or a widget names; a dimension without a value matches any."""

    where: str
    namespace: str
    metric: str
    dimensions: dict[str, str | None]


def alarms() -> dict[str, dict[str, Any]]:
    """Return each alarm's properties by logical id."""
    resources = expand(AlarmEmail="ops@example.com").of_type("AWS::CloudWatch::Alarm")
    return {name: resource["Properties"] for name, resource in resources.items()}


def text(value: Any) -> str:
    """Return a value as it is written in `Fn::Sub`: `${HttpApi}`, `${Queue.QueueName}`."""
    if isinstance(value, dict) and "Ref" in value:
        return f"${{{value['Ref']}}}"
    if isinstance(value, dict) and "Fn::GetAtt" in value:
        return f"${{{'.'.join(value['Fn::GetAtt'])}}}"
    if isinstance(value, dict) and "Fn::Sub" in value:
        return str(value["Fn::Sub"])
    return str(value)


def watched_by_alarms() -> Iterator[Watched]:
    for name, alarm in alarms().items():
        if "MetricName" in alarm:
            dimensions: dict[str, str | None] = {item["Name"]: text(item["Value"]) for item in alarm["Dimensions"]}
            yield Watched(name, text(alarm["Namespace"]), alarm["MetricName"], dimensions)
        else:
            for query in alarm["Metrics"]:
                yield _watched_by_query(name, text(query["Expression"]))


def _watched_by_query(where: str, query: str) -> Watched:
    match = re.match(r'SELECT \w+\((\w+)\) FROM SCHEMA\("([^"]+)", ([\w, ]+)\)', query)
    assert match, f"{where}: not understood: {query}"
    metric, namespace, dimensions = match.groups()
    return Watched(where, namespace, metric, {name.strip(): None for name in dimensions.split(",")})


def dashboard() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(text(expand().properties("Dashboard")["DashboardBody"]))
    return body


def watched_by_widgets() -> Iterator[Watched]:
    for widget in dashboard()["widgets"]:
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
def emitted() -> set[tuple[str, str]]:
    """Return (service, metric) of everything the functions' code counts."""
    return {
        (SERVICES[function], metric)
        for function, (folder, _) in FUNCTIONS.items()
        for metric in metrics_counted(ROOT / folder / "app.py")
    }
