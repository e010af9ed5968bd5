"""The log of every request the simulator got."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stripe_simulator.parameters import Params


@dataclass(slots=True)
class LoggedRequest:
    """One request. `status` is None until there is a response; `fault` is the kind of the fault that struck it.

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
    """The latest requests (at most `limit`), and counts of all of them by route and by status.

    `unknown` has the method and path of each request for a route that the simulator does not know: a test asserts that
    it is empty.
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
