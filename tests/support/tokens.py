"""Transactions' tokens as DynamoDB remembers them; DynamoDB Local keeps one for longer, and beyond its test.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from billing import clock

REMEMBERED_FOR = timedelta(minutes=10)


def forget_tokens_as_dynamodb_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a token be new to DynamoDB Local in every test, and again once ten minutes of the test's clock are over."""
    real_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]
    first_seen: dict[str, tuple[datetime, str]] = {}

    def make_api_call(client: Any, operation: str, parameters: Any) -> Any:
        token = parameters.get("ClientRequestToken")
        if operation == "TransactWriteItems" and token is not None:
            now = clock.utc_now()
            since, _ = first_seen.setdefault(token, (now, str(uuid.uuid4())))
            if now - since > REMEMBERED_FOR:
                first_seen[token] = (now, str(uuid.uuid4()))
            parameters = {**parameters, "ClientRequestToken": first_seen[token][1]}
        return real_api_call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)
