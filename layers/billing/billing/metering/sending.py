"""Meter events to Stripe: over v1, one a call, or over the v2 stream, a hundred a call; several calls at once.

Both ways say what became of every event: accepted, refused for good, or to be sent again under the same identifier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from billing import clock
from billing.batches import batches
from billing.errors import StripeNotFoundError, StripeRefusedError, UnavailableError
from billing.metering.hour import NO_SUCH_CUSTOMER, MeterEvent, Refusal
from billing.rate_limit import RateLimit
from billing.settings import MeterEventTransport
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.meter_events import MeterEvents

STREAM_BATCH = 100
ATTEMPTS = 5
# Refusals that end when the meter is repaired, or with time: the hour stays due.
TEMPORARY_CODES = frozenset({"archived_meter", "no_meter", "timestamp_in_future"})
# What Stripe refuses without a code of its own.
REFUSED_BY_STRIPE = "refused_by_stripe"

Outcome = Refusal | UnavailableError | None
"""None: Stripe has accepted the event. A refusal: it never will. An `UnavailableError`: send it again later."""


@dataclass(slots=True)
class MeterEventSender:
    """A way to send meter events.

    `may_continue` says whether there is time for another attempt; `limit` counts events.
    """

    meter_events: MeterEvents
    transport: MeterEventTransport
    executor: ThreadPoolExecutor
    limit: RateLimit
    may_continue: Callable[[], bool]

    @property
    def events_a_call(self) -> int:
        """Return how many events a full call takes."""
        return STREAM_BATCH if self.transport == "stream" else 1

    def send(self, events: Sequence[MeterEvent]) -> list[Outcome]:
        """Send events and return what became of each, in their order; never raises for what Stripe did."""
        if self.transport == "single":
            return list(self.executor.map(self._send_single, events))
        outcomes: list[Outcome] = []
        for batch in self.executor.map(self._send_batch, batches(events, STREAM_BATCH)):
            outcomes += batch
        return outcomes

    def _send_single(self, event: MeterEvent) -> Outcome:
        return self._attempt(
            1,
            lambda: self.meter_events.create(
                event.event_name, event.identifier, event.timestamp, event.customer_id, event.value
            ),
        )

    def _send_batch(self, events: Sequence[MeterEvent], *, is_certain: bool = True) -> list[Outcome]:
        body = [_stream_event(event) for event in events]
        outcome = self._attempt(len(events), lambda: self.meter_events.stream(body), is_certain=is_certain)
        if not isinstance(outcome, Refusal) or len(events) == 1:
            return [outcome] * len(events)
        # Stripe names no culprit: halves are sent until it is alone.
        middle, is_certain = len(events) // 2, outcome.is_certain
        first = self._send_batch(events[:middle], is_certain=is_certain)
        return first + self._send_batch(events[middle:], is_certain=is_certain)

    def _attempt(self, units: int, call: Callable[[], None], *, is_certain: bool = True) -> Outcome:
        """Make a call up to five times. `is_certain` says that no earlier call with these events lacks a response."""
        problem = UnavailableError("There was no time left to send it")
        for attempt in range(1, ATTEMPTS + 1):
            if not self.may_continue():
                break
            if attempt > 1:
                StripeGateway.back_off(attempt - 1)
            self.limit.wait(units)
            try:
                call()
            except UnavailableError as error:
                problem, is_certain = error, False
            except StripeRefusedError as error:
                outcome = _judge(error)
                return replace(outcome, is_certain=is_certain) if isinstance(outcome, Refusal) else outcome
            else:
                return None
        return problem


def _stream_event(event: MeterEvent) -> dict[str, Any]:
    return {
        "event_name": event.event_name,
        "identifier": event.identifier,
        "timestamp": clock.format_time(clock.from_unix(event.timestamp)),
        "payload": {"stripe_customer_id": event.customer_id, "value": str(event.value)},
    }


def _judge(error: StripeRefusedError) -> Refusal | UnavailableError:
    """Tell a refusal of the event from one that ends: when somebody repairs the meter, or when its hour has passed.

    v1 often gives no code, so that the message is all there is to go by.
    """
    message = str(error)
    if error.code in TEMPORARY_CODES or "No active meter" in message or "in the future" in message:
        return UnavailableError(message)
    if error.code in ("resource_missing", "meter_event_customer_not_found") or "No such customer" in message:
        return Refusal(NO_SUCH_CUSTOMER, message)
    if isinstance(error, StripeNotFoundError):
        # Not the customer but the address is unknown there: a wrong base address or a proxy says that.
        return UnavailableError(message)
    return Refusal(error.code or REFUSED_BY_STRIPE, message)
