"""The calls that some work makes to DynamoDB and Stripe: recorded, and made again with nothing between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

READS = ("GetItem", "BatchGetItem", "Query")
Call = tuple[str, Any]
"""`dynamodb` with an operation and its parameters, or `stripe` with what a request is made of."""


@contextmanager
def recorded(units: Counter[str] | None = None) -> Iterator[list[Call]]:
    """Record the calls to DynamoDB and Stripe that are made in a `with` block.

    With `units` DynamoDB is asked what each call consumes, and it is added up there by `operation table`.
    """
    import stripe
    from botocore.client import BaseClient

    calls: list[Call] = []
    client_class: Any = BaseClient  # its call is private to botocore
    call_dynamodb, request = client_class._make_api_call, stripe.RequestsClient.request

    def recorded_call(client: Any, operation: str, params: Any) -> Any:
        calls.append(("dynamodb", (operation, params)))
        if units is None:
            return call_dynamodb(client, operation, params)
        response = call_dynamodb(client, operation, {**params, "ReturnConsumedCapacity": "TOTAL"})
        consumed = response.get("ConsumedCapacity", [])
        for each in consumed if isinstance(consumed, list) else [consumed]:
            units[f"{operation} {each['TableName']}"] += each["CapacityUnits"]
        return response

    def recorded_request(self: Any, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        calls.append(("stripe", (method, url, dict(headers), post_data)))
        return request(self, method, url, headers, post_data, **more)

    client_class._make_api_call = recorded_call
    stripe.RequestsClient.request = recorded_request  # type: ignore[method-assign]  # put back below
    try:
        yield calls
    finally:
        client_class._make_api_call = call_dynamodb
        stripe.RequestsClient.request = request  # type: ignore[method-assign]  # as it was


def make(dynamodb: Any, session: requests.Session, call: Call) -> None:
    """Make a recorded call again: with a client of botocore's, or a session for Stripe."""
    kind, arguments = call
    if kind == "dynamodb":
        dynamodb._make_api_call(*arguments)
        return
    method, url, headers, body = arguments
    response = session.request(method, url, headers=headers, data=body)
    response.raise_for_status()
    response.json()
