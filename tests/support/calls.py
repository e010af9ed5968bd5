"""Every call that the system makes to DynamoDB, SQS or Stripe: listed, and some of them disturbed (`faults.py`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from billing.stripe_gateway.calls import StripeGateway

if TYPE_CHECKING:
    from stripe_simulator.faults import Faults

STRIPE = "stripe"
# How long AWS Lambda lets a function run: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LIFETIME = timedelta(minutes=15)


class Crash(BaseException):
    """The end of the process in the middle of its work, past every `except Exception`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to be made.

    `name` is `stripe`, or a service and an operation like `dynamodb:TransactWriteItems`; `request` are the parameters
    of AWS's operation, or the function that is called with Stripe's client.
    """

    name: str
    request: Any
    perform_with: Callable[[Any], Any]
    stripe_faults: Faults | None = None

    def perform(self) -> Any:
        """Make the call as it was meant."""
        return self.perform_with(self.request)

    @property
    def operation(self) -> str:
        """Return AWS's operation, or the SDK's method, as `v1.billing.meter_events.create` or `raw_request`."""
        return _sdk_call(self.request)[0] if self.name == STRIPE else self.name.partition(":")[2]

    @property
    def parameters(self) -> Any:
        """Return the mapping that AWS's operation takes, or the arguments of the SDK's method, in their order."""
        return _sdk_call(self.request)[1] if self.name == STRIPE else self.request


class _SdkCall(BaseException):
    """A call of the SDK that was not made: its method, and what it was called with."""


class _Recorder:
    """A stand-in for Stripe's client, which tells what is called and calls nothing."""

    def __init__(self, path: str = "") -> None:
        self._path = path

    def __getattr__(self, name: str) -> _Recorder:
        return _Recorder(f"{self._path}.{name}" if self._path else name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        raise _SdkCall(self._path, (*arguments, *([named] if named else [])))


def _sdk_call(function: Callable[[Any], Any]) -> tuple[str, tuple[Any, ...]]:
    try:
        function(_Recorder())
    except _SdkCall as call:
        method, arguments = call.args
        return method, arguments
    raise AssertionError("a function that is given Stripe's client calls one of its methods")


Disturbance = Callable[[Call], Any]


class Calls:
    """The calls made while it watches. `stripe_faults` are the simulator's, for faults that it plays."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.disturbed: list[str] = []
        self.stripe_faults: Faults | None = None
        self._lock = threading.Lock()
        self._disturb: Callable[[int, Call], Disturbance | None] | None = None
        self._watching = False

    @contextmanager
    def watched(self, disturb: Callable[[int, Call], Disturbance | None] | None = None) -> Iterator[list[str]]:
        """Watch for the length of a `with` block; `disturb` picks what to do instead of the nth call, from 0."""
        self.names, self.disturbed = [], []
        self._disturb, self._watching = disturb, True
        try:
            yield self.names
        finally:
            self._disturb, self._watching = None, False

    def make(self, name: str, perform_with: Callable[[Any], Any], request: Any = None) -> Any:
        """Make a call, or what it is disturbed by."""
        call = Call(name, request, perform_with, self.stripe_faults)
        if not self._watching:
            return call.perform()
        with self._lock:
            number = len(self.names)
            self.names.append(name)
        disturbance = self._disturb(number, call) if self._disturb is not None else None
        if disturbance is None:
            return call.perform()
        self.disturbed.append(name)
        return disturbance(call)


def hook(monkeypatch: pytest.MonkeyPatch, only: Any = None) -> Calls:
    """Put a `Calls` between the code under test and botocore, and between it and Stripe.

    With `only` the calls of that one client of botocore's are told from those that a test makes itself.
    """
    calls = Calls()
    real_api_call, real_once = BaseClient._make_api_call, StripeGateway.once  # type: ignore[attr-defined]

    def make_api_call(client: Any, operation: str, parameters: Any) -> Any:
        if only is not None and client is not only:
            return real_api_call(client, operation, parameters)
        name = f"{client.meta.service_model.service_name}:{operation}"
        return calls.make(name, lambda request: real_api_call(client, operation, request), parameters)

    def once(gateway: StripeGateway, call: Callable[[Any], Any]) -> Any:
        return calls.make(STRIPE, lambda request: real_once(gateway, request), call)

    monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)
    monkeypatch.setattr(StripeGateway, "once", once)
    return calls
