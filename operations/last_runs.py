"""The metering runs of the past day, as their metrics show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billing.clock import format_time, hour_of
from billing.telemetry import NAMESPACE

# POWERTOOLS_SERVICE_NAME of the metering functions in template.yaml.
SERVICE = "metering"


@dataclass(frozen=True, slots=True)
class LastRuns:
    """How many runs succeeded and failed in the past day, and the hour of the last that succeeded."""

    succeeded: int
    failed: int
    last_success: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "succeeded": self.succeeded,
            "failed": self.failed,
            "last_success_hour": format_time(self.last_success) if self.last_success else None,
        }


def last_runs(cloudwatch: Any, stack: str, now: datetime) -> LastRuns:
    """Ask CloudWatch for the runs of the past day.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
    """
    end = hour_of(now) + timedelta(hours=1)
    queries = [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {
                    "Namespace": f"{NAMESPACE}/{stack}",
                    "MetricName": name,
                    "Dimensions": [{"Name": "service", "Value": SERVICE}],
                },
                "Period": 3600,
                "Stat": "Sum",
            },
        }
        for name in ("runs_succeeded", "runs_failed")
    ]
    response = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=end - timedelta(days=1), EndTime=end)
    sums = {
        result["Id"]: list(zip(result["Timestamps"], result["Values"], strict=True))
        for result in response["MetricDataResults"]
    }
    successes = sums.get("runs_succeeded", [])
    return LastRuns(
        succeeded=int(sum(value for _, value in successes)),
        failed=int(sum(value for _, value in sums.get("runs_failed", []))),
        last_success=max((moment for moment, value in successes if value > 0), default=None),
    )
