"""What a program that looks at everything the simulator takes and sends has to offer."""

from __future__ import annotations

from typing import Any, Protocol

from stripe_simulator.request_log import LoggedRequest


class Observer(Protocol):
    """One that is told of everything; `account.observers` has those that are. They must change nothing."""

    def exchanged(self, request: LoggedRequest, body: Any) -> None:
        """Take a request that was performed, and the body of the response, before any fault damages it."""

    def emitted(self, event: dict[str, Any], *, delivered: bool) -> None:
        """Take an event as it is delivered, or as it is retrieved: of a thin one these are two shapes."""
