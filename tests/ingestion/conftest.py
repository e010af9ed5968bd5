from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ingestion.arriving import Ingestion, ingesting

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


@pytest.fixture
def ingestion(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Ingestion:
    """Give the test the function, with empty tables, at five past twelve of a Monday."""
    return ingesting(dynamodb, monkeypatch)
