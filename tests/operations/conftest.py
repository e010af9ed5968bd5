from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from billing import telemetry
from operations import connection
from operations.cli import main
from programs.local.stack import Stack, running_stack
from stripe_simulator import Simulator

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ran:
    """Hold what a command answered."""

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
    # A command turns the log to stderr and quiet.
    log = telemetry.logger
    level, streams = (
        log.log_level,
        [(handler, handler.stream) for handler in log.handlers if hasattr(handler, "stream")],
    )

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    yield run
    log.setLevel(level)
    for handler, stream in streams:
        handler.stream = stream
    connection.aws_client.cache_clear()


@pytest.fixture
def stack(dynamodb: object, dynamodb_endpoint: str, simulator: Simulator) -> Iterator[Stack]:
    with running_stack(simulator, dynamodb_endpoint, start=START) as running:
        yield running
    assert simulator.requests.unknown == []
