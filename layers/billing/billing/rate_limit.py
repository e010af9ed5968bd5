"""A pace for calls to Stripe, which refuses what comes faster than its limits."""

from __future__ import annotations

import threading
import time


class RateLimit:
    """Let at most `per_second` units pass, evenly; one instance serves all threads."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0
        self._lock = threading.Lock()

    def wait(self, units: int) -> None:
        """Sleep until that many units may pass."""
        with self._lock:
            now = time.monotonic()
            starts_at = max(now, self._free_at)
            self._free_at = starts_at + units / self._per_second
        if starts_at > now:
            time.sleep(starts_at - now)
