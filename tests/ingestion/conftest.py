from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from billing.ingestion import counting
from tests.ingestion.arriving import Ingestion, ingesting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


@pytest.fixture
def ingestion(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Ingestion:
    """Give the test the function, with empty tables, at five past twelve of a Monday."""
    return ingesting(dynamodb, monkeypatch)


@pytest.fixture
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the attempts before which the code would have waited."""
    attempts: list[int] = []
    monkeypatch.setattr(counting, "pause", attempts.append)
    return attempts


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], float]:
    """Return what is counted, by metric and dimension."""
    counted: dict[tuple[str, str], float] = {}

    def count(name: str, value: float = 1, dimension: str = "") -> None:
        counted[name, dimension] = counted.get((name, dimension), 0) + value

    monkeypatch.setattr("billing.ingestion.invocation.count", count)
    return counted
