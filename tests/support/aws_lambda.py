"""AWS Lambda, as far as this stack's functions invoke one another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from programs.local.stack import TimeLimit

if TYPE_CHECKING:
    from programs.local.stack import Stack


class InvokedMetering:
    """A client of Lambda that runs the metering function at once; `failure` is raised in its place while there is one.

    `payloads` are those of the invocations that were tried.
    """

    def __init__(self, stack: Stack, invocation_type: str) -> None:
        self.stack, self.invocation_type = stack, invocation_type
        self.payloads: list[dict[str, Any]] = []
        self.failure: Exception | None = None

    def invoke(self, **request: Any) -> dict[str, Any]:
        """Invoke the function."""
        assert (request["FunctionName"], request["InvocationType"]) == ("metering", self.invocation_type)
        self.payloads.append(json.loads(request["Payload"]))
        if self.failure is not None:
            raise self.failure
        self.stack.metering_app.handler(self.payloads[-1], TimeLimit())
        return {"StatusCode": 202 if self.invocation_type == "Event" else 200}
