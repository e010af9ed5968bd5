from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from programs.local.http_api import HttpApi
from programs.local.stack import Stack, running_stack
from stripe_simulator import Simulator

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture
def stack(
    dynamodb: object, dynamodb_endpoint: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    """Give the stack on this machine, with its metered prices allowed to be subscribed to."""
    with running_stack(simulator, dynamodb_endpoint, start=START) as running:
        monkeypatch.setenv("ALLOWED_PRICE_IDS", ",".join(running.prices.values()))
        monkeypatch.setenv("ALLOWED_REDIRECT_HOSTS", "app.example.com, localhost:3000")
        yield running
    assert simulator.requests.unknown == []


@pytest.fixture
def api() -> HttpApi:
    return HttpApi()
