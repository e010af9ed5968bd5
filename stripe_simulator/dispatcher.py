"""Automatic deliveries: a background thread that posts events and retries them on the simulator's clock."""

from __future__ import annotations

import heapq
import http.client
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stripe_simulator.deliveries import RETRY_AFTER_SECONDS, Delivery

if TYPE_CHECKING:
    from stripe_simulator.account import Account

RESPONSE_SECONDS = 10
"""How long a receiver may take, in real seconds."""
_CONCURRENT = 8
_LOOK_AGAIN_SECONDS = 0.2


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int | None, str | None]:
    """Post a body; return the response's status, or None and the reason where there was no response."""
    try:
        parts = urlsplit(url)
        connection_class = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = connection_class(parts.hostname or "localhost", parts.port, timeout=RESPONSE_SECONDS)
    except ValueError as exc:  # a port that is no number: a delivery that fails, as at Stripe
        return None, f"{type(exc).__name__}: {exc}"
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status, None
    except (OSError, http.client.HTTPException) as exc:
        return None, f"{type(exc).__name__}: {exc}"
    finally:
        connection.close()


class Dispatcher:
    """A thread that posts deliveries as they fall due, several at once, until they succeed or three days are over."""

    def __init__(self, account: Account, speed: float) -> None:
        self._account = account
        self._speed = speed
        self._due: list[tuple[float, str, Delivery]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._pool = ThreadPoolExecutor(_CONCURRENT, thread_name_prefix="stripe-webhooks")
        self._account.clock.listeners.append(self._wake)
        self._thread = threading.Thread(target=self._run, name="stripe-webhooks", daemon=True)
        self._thread.start()

    def add(self, delivery: Delivery) -> None:
        """Schedule a new delivery; its first attempt is due at once."""
        self._schedule(delivery, delivery.created)

    def scheduled_count(self) -> int:
        """Return how many deliveries wait for the time of their next attempt."""
        with self._changed:
            return len(self._due)

    def close(self) -> None:
        """Stop without waiting for attempts that are under way."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._account.clock.listeners.remove(self._wake)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _schedule(self, delivery: Delivery, at: float) -> None:
        with self._changed:
            heapq.heappush(self._due, (at, delivery.id, delivery))
            self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = self._account.clock.now()
                while self._due and self._due[0][0] <= now:
                    self._pool.submit(self._attempt, heapq.heappop(self._due)[2])
                self._changed.wait(_LOOK_AGAIN_SECONDS)

    def _attempt(self, delivery: Delivery) -> None:
        status, error = post(delivery.url, delivery.body, delivery.headers())
        delivery.record(status, error)
        if delivery.delivered:
            return
        if len(delivery.attempts) < len(RETRY_AFTER_SECONDS):
            self._schedule(delivery, delivery.created + RETRY_AFTER_SECONDS[len(delivery.attempts)] / self._speed)
        else:
            delivery.gave_up = True
