"""What can become of a call. A fault is called with the `Call` in whose place it happens."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from billing.errors import StripeUnavailableError
from tests.support.calls import STRIPE, Call, Crash


@dataclass(frozen=True, slots=True)
class CrashBefore:
    """The process dies before the call."""

    def __call__(self, call: Call) -> Any:
        raise Crash(call.name)


@dataclass(frozen=True, slots=True)
class CrashAfter:
    """The process dies after the call: what it held in memory is gone."""

    def __call__(self, call: Call) -> Any:
        call.perform()
        raise Crash(call.name)


@dataclass(frozen=True, slots=True)
class NoResponse:
    """The call times out, without effect or with it."""

    has_effect: bool

    def __call__(self, call: Call) -> Any:
        if self.has_effect:
            call.perform()
        if call.name == STRIPE:
            raise StripeUnavailableError("Stripe gave no response")
        raise ReadTimeoutError(endpoint_url="http://dynamodb.test")


@dataclass(frozen=True, slots=True)
class Throttled:
    """The call is refused because there were too many."""

    def __call__(self, call: Call) -> Any:
        if call.name == STRIPE:
            raise StripeUnavailableError("Stripe responded with 429: slow down", 429)
        raise refused_by_aws(call, "ProvisionedThroughputExceededException")


@dataclass(frozen=True, slots=True)
class InConflict:
    """The call is refused because another one is at work on the same things."""

    def __call__(self, call: Call) -> Any:
        if call.name == STRIPE:
            raise StripeUnavailableError("Stripe responded with 409: conflict", 409)
        if call.name.endswith("TransactWriteItems"):
            conflict = {"Code": "TransactionConflict", "Message": "in progress"}
            reasons = [*[{"Code": "None"}] * (len(call.request["TransactItems"]) - 1), conflict]
            raise refused_by_aws(call, "TransactionCanceledException", CancellationReasons=reasons)
        raise refused_by_aws(call, "TransactionConflictException")


@dataclass(frozen=True, slots=True)
class Failing:
    """The service fails; of a transaction, one part is throttled."""

    def __call__(self, call: Call) -> Any:
        if call.name == STRIPE:
            raise StripeUnavailableError("Stripe responded with 500: sorry", 500)
        if call.name.endswith("TransactWriteItems"):
            throttled = {"Code": "ThrottlingError", "Message": "too fast"}
            reasons = [throttled, *[{"Code": "None"}] * (len(call.request["TransactItems"]) - 1)]
            raise refused_by_aws(call, "TransactionCanceledException", CancellationReasons=reasons)
        raise refused_by_aws(call, "InternalServerError")


@dataclass(frozen=True, slots=True)
class Retried:
    """AWS did it, the response was lost, and the SDK asked again."""

    def __call__(self, call: Call) -> Any:
        call.perform()
        return call.perform()


@dataclass(frozen=True, slots=True)
class Partial:
    """DynamoDB does half of a batch; what is no batch is throttled."""

    def __call__(self, call: Call) -> Any:
        if call.name == "dynamodb:BatchExecuteStatement":
            statements = call.request["Statements"]
            done = statements[: len(statements) // 2]
            responses = call.perform_with({**call.request, "Statements": done})["Responses"] if done else []
            throttled = {"Error": {"Code": "ThrottlingError", "Message": "later"}}
            return {"Responses": [*responses, *[throttled] * (len(statements) - len(done))]}
        if call.name == "dynamodb:BatchGetItem":
            ((name, wanted),) = call.request["RequestItems"].items()
            keys, middle = wanted["Keys"], len(wanted["Keys"]) // 2
            if not middle:
                return {"Responses": {}, "UnprocessedKeys": call.request["RequestItems"]}
            first = {**call.request, "RequestItems": {name: {**wanted, "Keys": keys[:middle]}}}
            return {**call.perform_with(first), "UnprocessedKeys": {name: {**wanted, "Keys": keys[middle:]}}}
        raise refused_by_aws(call, "ThrottlingException")


@dataclass(frozen=True, slots=True)
class AtStripe:
    """One of the simulator's faults, for this call or, where it is down, until its faults are cleared."""

    kind: str
    is_down: bool = False

    def __call__(self, call: Call) -> Any:
        assert call.stripe_faults is not None
        rule = call.stripe_faults.add(self.kind)
        try:
            return call.perform()
        finally:
            if not self.is_down:
                with suppress(ValueError):
                    call.stripe_faults.rules.remove(rule)


def refused_by_aws(call: Call, code: str, **more: Any) -> ClientError:
    """Return the error that botocore raises for a refusal."""
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": 400}, **more}
    return ClientError(response, call.name.partition(":")[2])


CRASHES = (CrashBefore(), CrashAfter())
FAILURES = (NoResponse(has_effect=False), NoResponse(has_effect=True), Throttled(), InConflict(), Failing())
