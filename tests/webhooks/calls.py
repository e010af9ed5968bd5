"""Every call that a delivery makes to DynamoDB, SQS or Stripe: listed, and one of them disturbed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

from billing.errors import StripeUnavailableError
from billing.stripe_gateway.calls import StripeGateway

Call = Callable[[], Any]
Disturbance = Callable[[str, Call], Any]


class Crash(BaseException):
    """End the function in the middle of a delivery, past every `except Exception`."""


class Calls:
    """List the calls made while it watches, and disturb some of them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.disturbed: list[str] = []
        self._lock = threading.Lock()
        self._disturb: Callable[[int, str], Disturbance | None] | None = None
        self._watching = False

    @contextmanager
    def watched(self, disturb: Callable[[int, str], Disturbance | None] | None = None) -> Iterator[list[str]]:
        """Watch for the length of a `with` block; `disturb` picks what to do instead of the nth call, from 0."""
        self.names, self.disturbed = [], []
        self._disturb, self._watching = disturb, True
        try:
            yield self.names
        finally:
            self._disturb, self._watching = None, False

    def make(self, name: str, call: Call) -> Any:
        if not self._watching:
            return call()
        with self._lock:
            number = len(self.names)
            self.names.append(name)
            disturbance = self._disturb(number, name) if self._disturb is not None else None
            if disturbance is not None:
                self.disturbed.append(name)
        return call() if disturbance is None else disturbance(name, call)


def hook(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Put a `Calls` between the code under test and botocore, and between it and Stripe."""
    calls = Calls()
    real_api_call, real_once = BaseClient._make_api_call, StripeGateway.once  # type: ignore[attr-defined]

    def make_api_call(client: Any, operation: str, parameters: Any) -> Any:
        name = f"{client.meta.service_model.service_name}:{operation}"
        return calls.make(name, lambda: real_api_call(client, operation, parameters))

    def once(gateway: StripeGateway, call: Callable[[Any], Any]) -> Any:
        return calls.make("stripe", lambda: real_once(gateway, call))

    monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)
    monkeypatch.setattr(StripeGateway, "once", once)
    return calls


# ------------------------------------------------------------------------------------------------- what can happen


def crash_before(name: str, call: Call) -> Any:
    raise Crash(name)


def crash_after(name: str, call: Call) -> Any:
    call()
    raise Crash(name)


def time_out_without_effect(name: str, call: Call) -> Any:
    if name == "stripe":
        raise StripeUnavailableError("Stripe gave no answer")
    raise ReadTimeoutError(endpoint_url="http://dynamodb.test")


def time_out_with_effect(name: str, call: Call) -> Any:
    call()
    return time_out_without_effect(name, call)


def _refused_by_aws(name: str, code: str, **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": 400}, **more}
    return ClientError(response, name.partition(":")[2])


def throttled(name: str, call: Call) -> Any:
    if name == "stripe":
        raise StripeUnavailableError("Stripe answered 429: slow down", 429)
    raise _refused_by_aws(name, "ProvisionedThroughputExceededException")


def in_conflict(name: str, call: Call) -> Any:
    if name == "stripe":
        raise StripeUnavailableError("Stripe answered 409: conflict", 409)
    if name.endswith("TransactWriteItems"):
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "in progress"}]
        raise _refused_by_aws(name, "TransactionCanceledException", CancellationReasons=reasons)
    raise _refused_by_aws(name, "TransactionConflictException")


def cancelled(name: str, call: Call) -> Any:
    if name == "stripe":
        raise StripeUnavailableError("Stripe answered 500: sorry", 500)
    if name.endswith("TransactWriteItems"):
        reasons = [{"Code": "ThrottlingError", "Message": "too fast"}, {"Code": "None"}]
        raise _refused_by_aws(name, "TransactionCanceledException", CancellationReasons=reasons)
    raise _refused_by_aws(name, "InternalServerError")


CRASHES = (crash_before, crash_after)
FAILURES = (time_out_without_effect, time_out_with_effect, throttled, in_conflict, cancelled)
