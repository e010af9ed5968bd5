"""What Stripe told the webhook: the deliveries that a change led to, waited for and shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stripe_simulator import SimulatorClient

QUIET_SECONDS, AT_MOST_SECONDS = 1.0, 60.0


@contextmanager
def awaited(simulator: SimulatorClient) -> Iterator[None]:
    """Wait until the events that what is done within the block leads to were delivered."""
    known = {delivery["id"] for delivery in simulator.deliveries()}
    yield
    _when_quiet(simulator, known)


@contextmanager
def shown(simulator: SimulatorClient) -> Iterator[None]:
    """Print the events that what is done within the block leads to, each with the webhook's status."""
    known = {delivery["id"] for delivery in simulator.deliveries()}
    yield
    for delivery in _when_quiet(simulator, known):
        attempt = delivery["attempts"][-1] if delivery["attempts"] else {"status": None, "error": "not yet tried"}
        print(f"  {delivery['event_type']} {attempt['status'] or attempt['error']}")


def _when_quiet(simulator: SimulatorClient, known: set[str]) -> list[dict[str, Any]]:
    """Wait until everything was tried and for a moment nothing new came; return the new deliveries."""
    began = changed = time.monotonic()
    seen: list[Any] = []
    while True:
        deliveries = [delivery for delivery in simulator.deliveries() if delivery["id"] not in known]
        state = [(delivery["id"], len(delivery["attempts"])) for delivery in deliveries]
        now = time.monotonic()
        if state != seen:
            seen, changed = state, now
        is_quiet = now - changed >= QUIET_SECONDS and all(attempts for _, attempts in state)
        if is_quiet or now - began >= AT_MOST_SECONDS:
            return deliveries
        time.sleep(0.05)
