"""Meter events: one a call over v1, or by the hundred over the v2 stream."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from billing import clock
from billing.errors import StripeRefusedError, StripeUnavailableError
from billing.stripe_gateway.calls import SessionExpiredError, StripeGateway

# A session of the meter event stream lasts 15 minutes; it is renewed before it can expire on the way.
SESSION_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class MeterEventSession:
    """A token for the meter event stream and when it ends; never log it."""

    token: str
    expires_at: datetime


class MeterEvents:
    """The meter events of one account, with the stream's session. One instance serves all threads of a process."""

    def __init__(self, gateway: StripeGateway) -> None:
        self._gateway = gateway
        self._session: MeterEventSession | None = None
        self._session_lock = threading.Lock()

    def create(self, event_name: str, identifier: str, timestamp: int, customer_id: str, value: int) -> None:
        """Send one meter event over v1, once. An identifier that Stripe has already taken is a success.

        Source: https://docs.stripe.com/api/billing/meter-event/create
        """
        try:
            self._gateway.once(
                lambda client: client.v1.billing.meter_events.create(
                    {
                        "event_name": event_name,
                        "identifier": identifier,
                        "timestamp": timestamp,
                        "payload": {"stripe_customer_id": customer_id, "value": str(value)},
                    }
                )
            )
        except StripeRefusedError as error:
            if not _is_duplicate(error, identifier):
                raise

    def stream(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Send at most 100 events over the v2 stream, once, in a session that is opened and renewed as needed.

        Source: https://docs.stripe.com/api/v2/billing-meter-stream/create
        """
        session = self._open_session(expired=None)
        try:
            self._stream(session, events)
        except SessionExpiredError:
            self._stream(self._open_session(expired=session), events)

    def _stream(self, session: MeterEventSession, events: Sequence[Mapping[str, Any]]) -> None:
        params: Any = {"events": list(events)}
        self._gateway.once(
            lambda client: client.v2.billing.meter_event_stream.create(params, {"api_key": session.token})
        )

    def _open_session(self, expired: MeterEventSession | None) -> MeterEventSession:
        with self._session_lock:
            session = self._session
            if session is None or session is expired or session.expires_at - SESSION_MARGIN <= clock.utc_now():
                try:
                    made = self._gateway.once(lambda client: client.v2.billing.meter_event_session.create())
                except StripeRefusedError as error:
                    # It says nothing about the events, which must not be refused for it.
                    raise StripeUnavailableError(f"Stripe opens no meter event session: {error}") from error
                session = MeterEventSession(made.authentication_token, _moment(made.expires_at))
                self._session = session
            return session


@cache
def meter_events(gateway: StripeGateway) -> MeterEvents:
    """Return a gateway's meter events: always the same, so that a session outlives an invocation."""
    return MeterEvents(gateway)


def _is_duplicate(error: StripeRefusedError, identifier: str) -> bool:
    # Usually without a code, so that the message is all there is to go by.
    if error.code in ("duplicate_meter_event", "resource_already_exists"):
        return True
    message = str(error)
    return "already exists with identifier" in message and identifier in message


def _moment(value: str | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value.replace("Z", "+00:00"))
