"""Saved responses of idempotency keys: https://docs.stripe.com/api/idempotent_requests.

v1 repeats the first response for 24 hours of the simulator's clock, 500s included, but not responses from before the
endpoint executed (parameter errors, 401, 404 of a route, 409, 429). v2 repeats successes only: a call that failed
runs again (https://docs.stripe.com/api-v2-overview#idempotency).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from stripe_simulator.errors import ApiError
from stripe_simulator.parameters import Params

KEPT_SECONDS = 24 * 3600


@dataclass(slots=True)
class SavedResponse:
    """The first request with a key, and the response to it."""

    path: str
    request_body: bytes
    params: Params
    status: int
    body: bytes
    expires: float


class IdempotencyKeys:
    """The saved responses, oldest first, at most `limit` of them (a bound on memory; Stripe has none)."""

    def __init__(self, limit: int = 200_000) -> None:
        self.limit = limit
        self._saved: OrderedDict[str, SavedResponse] = OrderedDict()

    def clear(self) -> None:
        """Forget every key."""
        self._saved.clear()

    def find(self, key: str, path: str, request_body: bytes, params: Params, now: float) -> SavedResponse | None:
        """Return the saved response of a key.

        Raises:
            ApiError: 400 `idempotency_error`, where the key came first with another endpoint or other parameters.
        """
        saved = self._saved.get(key)
        if saved is None:
            return None
        if saved.expires <= now:
            del self._saved[key]
            return None
        if saved.path != path:
            raise ApiError(
                400,
                f"Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{saved.path}' vs '{path}'). Try using a key other than '{key}' if you meant to execute a "
                "different request.",
                type="idempotency_error",
            )
        if saved.request_body != request_body and saved.params != params:
            raise ApiError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        return saved

    def save(self, key: str, response: SavedResponse) -> None:
        """Save the first response of a key; later ones never replace it."""
        if key not in self._saved:
            self._saved[key] = response
            while len(self._saved) > self.limit:
                self._saved.popitem(last=False)
