"""A deployment on emulators goes through, and fails where the template is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from programs.local.cloudformation import TEMPLATE_PATH
from programs.rehearsal.rehearsal import rehearse

pytestmark = pytest.mark.filterwarnings("ignore")  # moto's, about what its CloudFormation does not know


@pytest.mark.deep  # `.ci/run` does the same with what was built
def test_the_template_deploys_and_its_stack_bills(dynamodb_endpoint: str) -> None:
    lines: list[str] = []

    exit_code = rehearse(TEMPLATE_PATH, lines.append, dynamodb_endpoint)

    assert exit_code == 0, "\n".join(lines)
    for seen in (
        "the hourly run waits, and does not fail",
        "--apply makes it so, and --check finds nothing left",
        "temperature_readings: Stripe counts the 190 of 3 hours",
        "the tables are left, and nothing else that has data",
        "the secret is left, with its text",
        "AWS::Scheduler::Schedule (4): unknown, a name stands for it",
    ):
        assert any(seen in line for line in lines), seen


@pytest.mark.parametrize(
    ("before", "after", "failure"),
    [
        pytest.param(
            "            SUBSCRIPTIONS_TABLE: !Ref SubscriptionsTable\n",
            "",
            "No checkout opens",
            id="a table's name is missing",
        ),
        pytest.param(
            '          METERING_QUEUE_URL: !If [HasWorkers, !Ref UsageMeteringQueue, ""]\n',
            "",
            "hands 16 shards to the queue",
            id="a queue's name is missing",
            marks=pytest.mark.deep,
        ),
        pytest.param(
            "DeletionPolicy: RetainExceptOnCreate\n    UpdateReplacePolicy: Retain\n    Properties:\n      <<: &table",
            "DeletionPolicy: Delete\n    UpdateReplacePolicy: Retain\n    Properties:\n      <<: &table",
            "the tables are left",
            id="a table goes with the stack",
            marks=pytest.mark.deep,
        ),
    ],
)
def test_it_fails_where_the_template_is_wrong(
    dynamodb_endpoint: str, changed_template: Callable[[str, str], Path], before: str, after: str, failure: str
) -> None:
    lines: list[str] = []

    exit_code = rehearse(changed_template(before, after), lines.append, dynamodb_endpoint)

    assert exit_code == 1
    assert any(line.startswith("  FAILED") and failure in line for line in lines), "\n".join(lines)
