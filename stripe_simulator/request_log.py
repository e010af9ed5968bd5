"""The log of every request the simulator got."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stripe_simulator.parameters import Params


@dataclass(slots=True)
class LoggedRequest:
    """One request. `status` is None while unanswered or where no answer was given; `fault` names the rule's kind.

    `route` is the method and the path with its placeholders, `POST /v1/subscriptions/{id}`; `at` is simulated time.
    """

    number: int
    at: float
    method: str
    path: str
    route: str
    params: Params
    idempotency_key: str | None
    request_id: str
    status: int | None = None
    fault: str | None = None
    replayed: bool = False
    error: dict[str, Any] | None = None


class RequestLog:
    """Remember the latest requests (`limit`; 0 switches it off) and always count them by route and status.

    `unknown` holds `METHOD path` of each request for a route the simulator does not have: tests assert it is empty.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget everything; numbers start at 1 again."""
        self.total = 0
        self.by_route: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()
        self.unknown: list[str] = []
        self._kept: deque[LoggedRequest] = deque(maxlen=self.limit)

    def add(self, request: LoggedRequest) -> None:
        """Keep a request."""
        self._kept.append(request)

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(list(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, position: int) -> LoggedRequest:
        return self._kept[position]

    def to(self, route: str) -> list[LoggedRequest]:
        """Return the remembered requests of a route such as `POST /v1/billing/meter_events`, oldest first."""
        return [request for request in list(self._kept) if request.route == route]
