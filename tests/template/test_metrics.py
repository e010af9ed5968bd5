"""House rules for metrics: what is emitted is on the dashboard, and nobody watches what nothing emits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from billing.telemetry import METRICS
from tests.template.expanded import expand
from tests.template.functions import FUNCTIONS
from tests.template.source import LAYER
from tests.template.watched import (
    AWS_METRICS,
    NAMESPACE,
    Watched,
    dashboard,
    emitted,
    text,
    watched_by_alarms,
    watched_by_widgets,
)

WATCHED = [*watched_by_alarms(), *watched_by_widgets()]


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
    services = {service} if service is not None else {name for name, _ in emitted()}
    assert any((name, watched.metric) in emitted() for name in services)


def test_every_metric_of_the_code_is_emitted_by_a_function() -> None:
    assert set(METRICS) == {metric for _, metric in emitted()}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_of_the_code_is_on_the_dashboard(name: str) -> None:
    assert name in {watched.metric for watched in watched_by_widgets()}


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
    program_run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)

    written = {}
    for line in program_run.stdout.decode().splitlines():
        (directive,) = json.loads(line)["_aws"]["CloudWatchMetrics"]
        (metric,) = directive["Metrics"]
        written[metric["Name"]] = (directive["Namespace"], [sorted(names) for names in directive["Dimensions"]])
    assert written == {
        "runs_succeeded": ("SensorBilling/some-stack", [["service"]]),
        "hours_refused": ("SensorBilling/some-stack", [["reason", "service"]]),
    }


def test_every_function_writes_its_metrics_to_the_namespace_that_the_alarms_watch() -> None:
    for function in FUNCTIONS:
        assert text(expand().environment(function)["POWERTOOLS_METRICS_NAMESPACE"]) == NAMESPACE


def test_the_dashboard_s_widgets_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in dashboard()["widgets"]:
        area = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not taken & area
        assert widget["x"] + widget["width"] <= 24
        taken |= area
