from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from billing import record_active_sensors, record_readings
from billing.tables.usage import UsageRecord
from operations import connection, dead_letters, usage_import
from operations.cli import main
from programs.local.stack import Stack, running_stack
from stripe_simulator import Simulator
from tests.operations.dead_letters import Queues, event
from tests.operations.usage_lines import LINES, written
from tests.support.log import restored_log

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
WEBHOOK_URL = "https://api.example.com/stripe/webhook"


@dataclass(frozen=True, slots=True)
class Ran:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Operate = Callable[..., Ran]


@pytest.fixture
def operate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Operate]:
    """Give the command line; what a command sets in the environment is gone after the test."""
    monkeypatch.setenv("COLUMNS", "200")
    for variable in connection.OUTPUTS.values():
        monkeypatch.setenv(variable, "")
    connection.aws_client.cache_clear()

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    with restored_log():
        yield run
    connection.aws_client.cache_clear()


@pytest.fixture
def stack(dynamodb: object, dynamodb_endpoint: str, simulator: Simulator) -> Iterator[Stack]:
    with running_stack(simulator, dynamodb_endpoint, start=START) as running:
        yield running
    assert simulator.requests.unknown == []


@pytest.fixture
def secrets_manager(monkeypatch: pytest.MonkeyPatch, operate: Operate) -> Iterator[Any]:
    """Give a secret as the template makes it, and point the code at it."""
    with mock_aws():
        client = boto3.client("secretsmanager")
        made = client.create_secret(Name="stripe", SecretString='{"api_key": "", "webhook_secrets": []}')
        monkeypatch.setenv("STRIPE_SECRET_ARN", made["ARN"])
        yield client


@pytest.fixture
def queues(operate: Operate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    monkeypatch.setattr(dead_letters, "CALL_SECONDS", 0)
    with mock_aws():
        made = Queues()
        monkeypatch.setenv("USAGE_QUEUE_URL", made.usage)
        monkeypatch.setenv("USAGE_DEAD_LETTER_QUEUE_URL", made.dead)
        yield made


@pytest.fixture
def some(queues: Queues) -> Queues:
    """Give three rejected events, one of another organisation, and a message that no invocation finished."""
    queues.reject("in_the_future", event("r-1", time="2026-11-24T07:10:00Z"), "Its time lies in the future")
    queues.reject("no_such_meter", event("r-2", type="humidity"))
    queues.reject("in_the_future", event("r-3", subject="globex"))
    queues.move(json.dumps([event("r-4"), event("r-5")]))
    return queues


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file of usage, and no waiting between the attempts to count it."""
    monkeypatch.setattr(usage_import, "wait", lambda attempt: None)
    return written(tmp_path / "usage.csv", *LINES)


def stored_secrets(client: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(client.get_secret_value(SecretId="stripe")["SecretString"])
    return values


def actions_of(steps: list[dict[str, str]]) -> dict[str, str]:
    return {" ".join(step["subject"].split()[:2]): step["action"] for step in steps}


def destinations_of(simulator: Simulator) -> list[Any]:
    return list(simulator.webhooks.destinations.values())


def record_usage(organization_id: str, hours: int = 3) -> None:
    for hour in range(hours):
        record_readings(organization_id, 10 * (hour + 1), START + timedelta(hours=hour, minutes=-180))
        record_active_sensors(organization_id, 5, START + timedelta(hours=hour, minutes=-180))


def save_refused(organization_id: str, window_start: str, reason: str) -> None:
    UsageRecord(organization_id, window_start, temperature_readings=1, refused=reason).save()
