"""Meter event sessions: the short-lived tokens of the v2 stream.

https://docs.stripe.com/api/v2/billing/meter-event-session
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.clock import rfc3339
from stripe_simulator.errors import ApiError
from stripe_simulator.resources import Resource, StripeObject, synchronized

if TYPE_CHECKING:
    from stripe_simulator.account import Account

SESSION_SECONDS = 15 * 60


@synchronized
class MeterEventSessions(Resource):
    """The tokens that were given out, and when they end."""

    resource_name = "meter event session"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.expiry_by_token: dict[str, float] = {}

    def create(self, *, livemode: bool) -> StripeObject:
        """Open a session of 15 minutes.

        Raises:
            ApiError: 400 where `Settings.stream_in_sandbox` is off and the key is a test key.
        """
        if not livemode and not self.account.settings.stream_in_sandbox:
            raise ApiError(400, "Meter event sessions are not available in a sandbox.", code="feature_not_enabled")
        now = self.account.now()
        token = self.account.new_id("meter_event_session_token", 40)
        self.expiry_by_token[token] = now + SESSION_SECONDS
        return {
            "id": self.account.new_id("mes", 24),
            "object": "v2.billing.meter_event_session",
            "authentication_token": token,
            "created": rfc3339(now),
            "expires_at": rfc3339(now + SESSION_SECONDS),
            "livemode": livemode,
        }

    def check(self, token: str) -> None:
        """Let a token pass that is known and not expired.

        Raises:
            ApiError: 401 `billing_meter_event_session_expired`.
        """
        if self.expiry_by_token.get(token, 0) <= self.account.now():
            raise ApiError(
                401,
                "The temporary session token has expired.",
                type=self.account.settings.session_expired_type,
                code="billing_meter_event_session_expired",
            )

    def expire_all(self) -> None:
        """End every open session now, however much of its 15 minutes is left."""
        self.expiry_by_token.clear()
