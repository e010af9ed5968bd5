from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.due_hours import HOUR, due_hour, put, subscribed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

from tests.support.reported import NINE, ORGANIZATIONS


@pytest.fixture
def reported(stack: Stack, dynamodb: DynamoDBClient) -> Stack:
    """Report two hours of three organisations, two hours ago."""
    subscribed(stack, dynamodb, ORGANIZATIONS)
    hours = [due_hour(name, start=start) for name in ORGANIZATIONS for start in (HOUR, NINE)]
    put(dynamodb, "UsageTable", hours)
    stack.advance(hours=2)
    assert stack.meter()["settled"] == 6
    stack.advance(hours=2)
    return stack
