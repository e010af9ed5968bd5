"""Deliveries: an event on its way to a destination, signed, with what came of each attempt.

Signatures: https://docs.stripe.com/webhooks#verify-manually. Retries: https://docs.stripe.com/webhooks#retries.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from stripe_simulator.destinations import Destination
from stripe_simulator.resources import StripeObject

RETRY_AFTER_SECONDS = (0, 300, 1800, 7200, 18000, 36000, *range(86400 // 2, 3 * 86400, 86400 // 2))
"""When a delivery is tried, in seconds after its event: for three days, ever less often."""


def sign(payload: bytes, secret: str | list[str], timestamp: int | None = None) -> str:
    """Return the `Stripe-Signature` header of a payload: one `v1` for each secret.

    The timestamp is real time unless given, because receivers compare it with the real time.
    """
    at = int(time.time()) if timestamp is None else timestamp
    secrets = [secret] if isinstance(secret, str) else secret
    signed = b"%d." % at + payload
    signatures = [hmac.new(one.encode(), signed, hashlib.sha256).hexdigest() for one in secrets]
    return ",".join([f"t={at}", *(f"v1={signature}" for signature in signatures)])


@dataclass
class Attempt:
    """One attempt to deliver: when (Unix seconds of the simulator), and the response's status or why there was none."""

    at: float
    status: int | None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Say whether the response was a 2xx; everything else, redirects too, is a failure."""
        return self.status is not None and 200 <= self.status < 300


@dataclass
class Delivery:
    """One event for one destination, ready to be posted: `body` as bytes, `headers()` signed now."""

    id: str
    event_id: str
    event_type: str
    payload: Literal["snapshot", "thin"]
    body: bytes
    destination: Destination
    created: float
    attempts: list[Attempt] = field(default_factory=list)
    gave_up: bool = False

    def headers(self, timestamp: int | None = None) -> dict[str, str]:
        """Return the HTTP headers, signed with every secret that is valid, at real time unless a time is given."""
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": sign(self.body, self.destination.valid_secrets(), timestamp),
        }

    @property
    def url(self) -> str:
        """Return the destination's URL."""
        return self.destination.url

    @property
    def delivered(self) -> bool:
        """Say whether an attempt was accepted."""
        return any(attempt.accepted for attempt in self.attempts)

    def event(self) -> StripeObject:
        """Return the body parsed."""
        parsed: StripeObject = json.loads(self.body)
        return parsed

    def record(self, status: int | None, error: str | None = None) -> None:
        """Note the response to an attempt that a test made itself (None and a reason where there was none)."""
        self.attempts.append(Attempt(self.destination.now(), status, error))

    def summary(self) -> dict[str, Any]:
        """Return what the control API shows of it."""
        return {
            "id": self.id,
            "event_id": self.event_id,
            "event_type": self.event_type,
            "payload": self.payload,
            "url": self.url,
            "delivered": self.delivered,
            "attempts": [vars(attempt) for attempt in self.attempts],
        }
