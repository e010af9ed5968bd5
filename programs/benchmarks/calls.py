"""The calls that some work makes to DynamoDB and Stripe: recorded, and made again with nothing between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

READS = ("GetItem", "BatchGetItem", "Query")
Call = tuple[str, Any]
"""`dynamodb` with an operation and its parameters, or `stripe` with what a request is made of."""


@contextmanager
def recorded(counted: Counter[str] | None) -> Iterator[list[Call]]:
    """Record the calls to DynamoDB and Stripe that are made in a `with` block; with `counted` also DynamoDB's units."""
    import stripe
    from botocore.client import BaseClient

    calls: list[Call] = []
    call_dynamodb, request = BaseClient._make_api_call, stripe.RequestsClient.request  # type: ignore[attr-defined]

    def recorded_call(client: Any, operation: str, params: Any) -> Any:
        calls.append(("dynamodb", (operation, params)))
        if counted is None:
            return call_dynamodb(client, operation, params)
        response = call_dynamodb(client, operation, {**params, "ReturnConsumedCapacity": "TOTAL"})
        used = response.get("ConsumedCapacity", [])
        units = sum(each["CapacityUnits"] for each in (used if isinstance(used, list) else [used]))
        counted["read" if operation in READS else "write"] += units
        return response

    def recorded_request(self: Any, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        calls.append(("stripe", (method, url, dict(headers), post_data)))
        return request(self, method, url, headers, post_data, **more)

    BaseClient._make_api_call = recorded_call  # type: ignore[attr-defined]
    stripe.RequestsClient.request = recorded_request  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        BaseClient._make_api_call = call_dynamodb  # type: ignore[attr-defined]
        stripe.RequestsClient.request = request  # type: ignore[method-assign]


def make_again(dynamodb: Any, calls: Iterable[Call]) -> None:
    """Make recorded calls again, one after the other: with a client of botocore's, and one connection to Stripe."""
    import requests

    session = requests.Session()
    for kind, arguments in calls:
        if kind == "dynamodb":
            dynamodb._make_api_call(*arguments)
        else:
            method, url, headers, body = arguments
            session.request(method, url, headers=headers, data=body).raise_for_status()
