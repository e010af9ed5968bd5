"""Meter events: which are accepted, which of them count, and how a test damages them.

Rules: https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api and
https://docs.stripe.com/billing/subscriptions/usage-based/pre-aggregation. Every event is kept as it came. Which
ones count is decided when somebody reads, so a change of `Settings.most_recent` or of the lag shows at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stripe_simulator.resources import Resource, StripeObject, synchronized

if TYPE_CHECKING:
    from stripe_simulator.account import Account

WINDOW_SECONDS = {"hour": 3600, "day": 86400}
PAST_SECONDS = 35 * 86400
FUTURE_SECONDS = 5 * 60
MOST_DIGITS = 15
LONGEST_IDENTIFIER = 100


@dataclass(slots=True)
class MeterEvent:
    """One accepted event: `timestamp` is when the usage was, `received_at` and `sequence` when the event arrived."""

    event_name: str
    customer: str
    value: int
    timestamp: int
    identifier: str
    received_at: float
    sequence: int
    cancelled: bool = False


class RejectedMeterEventError(Exception):
    """The refusal of a meter event; `code` is the one of error reports (`duplicate_meter_event` for a duplicate)."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def _check_timestamp(timestamp: int, now: float) -> None:
    if timestamp < now - PAST_SECONDS:
        raise RejectedMeterEventError(
            "timestamp_too_far_in_past",
            "The timestamp must be within the past 35 calendar days.",
            "timestamp",
        )
    if timestamp > now + FUTURE_SECONDS:
        raise RejectedMeterEventError(
            "timestamp_in_future",
            "The timestamp must not be more than 5 minutes in the future.",
            "timestamp",
        )


def _down(moment: float, seconds: int) -> float:
    return moment // seconds * seconds


def _up(moment: float, seconds: int) -> float:
    return -(-moment // seconds) * seconds


@synchronized
class MeterEvents(Resource):
    """The account's meter events, and what they add up to."""

    resource_name = "meter event"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.accepted = 0
        self.duplicates = 0
        self._by_customer: dict[tuple[str, str], list[MeterEvent]] = {}
        self._by_identifier: dict[str, MeterEvent] = {}
        self._arrivals: deque[MeterEvent] = deque()

    # --- ingestion

    def ingest(
        self, event_name: str, payload: Mapping[str, Any], identifier: str | None, timestamp: int | None
    ) -> MeterEvent:
        """Check an event as Stripe does and keep it.

        Raises:
            RejectedMeterEventError: with the code and message of the first thing that is wrong with it.
        """
        now = self.account.arrival_time()
        meter = self._active_meter(event_name)
        customer_id = self._customer(meter, payload)
        value = self._value(meter, payload)
        if timestamp is None:
            timestamp = int(now)
        else:
            with self.account.on_clock(self.account.clock_of(customer_id)):
                _check_timestamp(timestamp, self.account.now())
        identifier = self._new_identifier(identifier, now)
        event = MeterEvent(event_name, customer_id, value, timestamp, identifier, now, self.accepted)
        self.accepted += 1
        self._by_identifier[identifier] = event
        self._arrivals.append(event)
        kept = self._by_customer.get((customer_id, event_name))
        if kept is None:
            self._by_customer[customer_id, event_name] = [event]
        else:
            kept.append(event)
        return event

    def _active_meter(self, event_name: str) -> StripeObject:
        meter = self.account.meters.by_name.get(event_name)
        if meter is None or meter["status"] != "active":
            raise RejectedMeterEventError(
                "no_meter" if meter is None else "archived_meter",
                f"No active meter found for event name '{event_name}'",
                "event_name",
            )
        return meter

    def _new_identifier(self, identifier: str | None, now: float) -> str:
        """Return the identifier of a new event, which is made where the sender gave none."""
        if identifier is None:
            identifier = f"generated_{self.accepted}"
        elif len(identifier) > LONGEST_IDENTIFIER:
            raise RejectedMeterEventError(
                "invalid_identifier",
                f"Invalid string: identifier must be at most {LONGEST_IDENTIFIER} characters",
                "identifier",
            )
        self._forget(now)
        if identifier in self._by_identifier:
            self.duplicates += 1
            raise RejectedMeterEventError(
                "duplicate_meter_event",
                f"An event already exists with identifier {identifier}.",
                "identifier",
            )
        return identifier

    def _customer(self, meter: StripeObject, payload: Mapping[str, Any]) -> str:
        key = meter["customer_mapping"]["event_payload_key"]
        customer = payload.get(key)
        if not customer or not isinstance(customer, str):
            raise RejectedMeterEventError(
                "meter_event_no_customer_defined",
                f"No customer mapping value for payload key '{key}'",
                f"payload[{key}]",
            )
        if not self.account.customers.exists(customer):
            raise RejectedMeterEventError(
                "meter_event_customer_not_found", f"No such customer: '{customer}'", f"payload[{key}]"
            )
        return customer

    def _value(self, meter: StripeObject, payload: Mapping[str, Any]) -> int:
        key = meter["value_settings"]["event_payload_key"]
        value = payload.get(key)
        if value is None or value == "":
            if meter["default_aggregation"]["formula"] == "count":
                return 1
            raise RejectedMeterEventError(
                "meter_event_value_not_found", f"No value for payload key '{key}'", f"payload[{key}]"
            )
        digits = str(value).removeprefix("-")
        if not (digits.isascii() and digits.isdecimal()):
            raise RejectedMeterEventError(
                "meter_event_invalid_value",
                f"Invalid value for payload key '{key}': must be a whole number",
                f"payload[{key}]",
            )
        if len(digits) > MOST_DIGITS and len(digits.lstrip("0")) > MOST_DIGITS:
            raise RejectedMeterEventError(
                "meter_event_value_too_many_digits",
                f"Invalid value for payload key '{key}': at most {MOST_DIGITS} significant digits",
                f"payload[{key}]",
            )
        return int(value)

    def _forget(self, now: float) -> None:
        oldest = now - self.account.settings.identifier_window_seconds
        arrivals = self._arrivals
        while arrivals and arrivals[0].received_at <= oldest:
            event = arrivals.popleft()
            if self._by_identifier.get(event.identifier) is event:
                del self._by_identifier[event.identifier]

    def find(self, identifier: str) -> MeterEvent | None:
        """Return the event of an identifier that is still remembered."""
        self._forget(self.account.now())
        return self._by_identifier.get(identifier)

    # --- what counts

    def all(self, customer_id: str, event_name: str) -> list[MeterEvent]:
        """Return every event kept for a customer and meter, in order of arrival, whether it counts or not."""
        return list(self._by_customer.get((customer_id, event_name), ()))

    def counted(self, customer_id: str, event_name: str) -> list[MeterEvent]:
        """Return the events that count: all of a raw meter, the most recent of each window of a pre-aggregated one.

        Cancelled events and those that arrived within the ingestion lag are left out first.
        """
        latest_arrival = self.account.arrival_time() - self.account.settings.ingestion_lag_seconds
        kept = [
            event
            for event in self._by_customer.get((customer_id, event_name), ())
            if not event.cancelled and event.received_at <= latest_arrival
        ]
        meter = self.account.meters.by_name.get(event_name)
        if meter is None or meter["event_time_window"] is None:
            return kept
        seconds = WINDOW_SECONDS[meter["event_time_window"]]
        by_timestamp = self.account.settings.most_recent == "timestamp"
        winners: dict[int, MeterEvent] = {}
        for event in kept:
            window = event.timestamp // seconds
            winner = winners.get(window)
            if winner is None or not by_timestamp or event.timestamp >= winner.timestamp:
                winners[window] = event
        return list(winners.values())

    def aggregate(
        self,
        customer_id: str,
        event_name: str,
        start: float,
        end: float,
        *,
        is_first: bool = False,
        is_last: bool = False,
    ) -> int:
        """Aggregate what counts in the period from `start` to `end` by the meter's formula; 0 for nothing.

        `Settings.boundary_window` decides whose the windows are in which it starts or ends; with no period before it
        (`is_first`) or after it (`is_last`) there is nobody to share them with.
        """
        meter = self.account.meters.by_name.get(event_name)
        seconds = WINDOW_SECONDS.get((meter or {}).get("event_time_window") or "")
        if seconds is not None and self.account.settings.boundary_window != "timestamp":
            is_ending = self.account.settings.boundary_window == "ending_period"
            start = _down(start, seconds) if is_first or not is_ending else _up(start, seconds)
            end = _up(end, seconds) if is_last or is_ending else _down(end, seconds)
        events = [event for event in self.counted(customer_id, event_name) if start <= event.timestamp < end]
        return self._formula(event_name, events)

    def windows(
        self, customer_id: str, event_name: str, seconds: int, start: float = 0, end: float = float("inf")
    ) -> dict[int, int]:
        """Aggregate what counts by windows of some seconds, in order; windows without an event are left out."""
        grouped: dict[int, list[MeterEvent]] = {}
        for event in self.counted(customer_id, event_name):
            if start <= event.timestamp < end:
                grouped.setdefault(event.timestamp // seconds * seconds, []).append(event)
        return {window: self._formula(event_name, grouped[window]) for window in sorted(grouped)}

    def _formula(self, event_name: str, events: list[MeterEvent]) -> int:
        meter = self.account.meters.by_name.get(event_name)
        formula = meter["default_aggregation"]["formula"] if meter else "sum"
        if formula == "count":
            return len(events)
        if formula == "last":
            by_arrival = self.account.settings.last_across_windows == "arrival"
            latest = max(events, key=lambda event: (0 if by_arrival else event.timestamp, event.sequence), default=None)
            return latest.value if latest else 0
        return sum(event.value for event in events)

    # --- damage on purpose

    def lose_hour(self, customer_id: str, event_name: str, hour_start: float) -> int:
        """Drop every event of a UTC hour as if it had never been aggregated; return how many there were.

        Their identifiers stay remembered, so a resend of the same ones is still a duplicate.
        """
        lost = [event for event in self._hour(customer_id, event_name, hour_start) if not event.cancelled]
        for event in lost:
            event.cancelled = True
        return len(lost)

    def double_hour(self, customer_id: str, event_name: str, hour_start: float) -> int:
        """Double what a UTC hour's events count; return how many events were changed."""
        doubled = [event for event in self._hour(customer_id, event_name, hour_start) if not event.cancelled]
        for event in doubled:
            event.value *= 2
        return len(doubled)

    def _hour(self, customer_id: str, event_name: str, hour_start: float) -> list[MeterEvent]:
        kept = self._by_customer.get((customer_id, event_name), [])
        return [event for event in kept if hour_start <= event.timestamp < hour_start + 3600]
