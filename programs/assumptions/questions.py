"""What Stripe's documentation leaves open, asked of an account: with a test clock where the answer needs time.

Each question has the answers that are known. The code is right under some or all of them, which `assumed` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.clock import from_unix, hour_of
from billing.errors import BillingError
from billing.stripe_gateway.meter_events import MeterEvents
from billing.stripe_gateway.summaries import hourly_summaries
from programs.assumptions.sandbox import Sandbox
from stripe_simulator import rfc3339

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_WIDTHS = (38, 18, 22)


@dataclass(frozen=True)
class Question:
    """Something that is asked; `ask` returns one of the answers, or what else it found."""

    name: str
    answers: Sequence[str]
    assumed: str
    ask: Callable[[Sandbox], str]


def table(findings: Iterable[Sequence[str]]) -> str:
    """Return the findings (question, what was found, what the code assumes) as a table of at most 80 columns."""
    rows = [("question", "found", "the code assumes"), *findings]
    return "".join(
        " ".join(cell.ljust(width) for cell, width in zip(row, _WIDTHS, strict=True)).rstrip() + "\n" for row in rows
    )


# --- what they have in common


@dataclass
class _Subscribed:
    """A customer with a test clock and a subscription to meters of its own."""

    sandbox: Sandbox
    clock: str
    customer: str
    subscription: Any
    meters: list[Any]

    def send(self, meter: Any, value: int, at: datetime) -> None:
        """Send an event, and wait until it is counted: an answer without it would be none."""
        name = f"{self.sandbox.run}-{meter.event_name}-{int(at.timestamp())}"
        MeterEvents(self.sandbox.gateway).create(meter.event_name, name, int(at.timestamp()), self.customer, value)
        assert _wait_until_counted(self.sandbox, meter, self.customer, value, at), "an event was not counted in time"

    def lines(self, invoices: Iterable[Any]) -> list[Any]:
        return [line for invoice in invoices for line in invoice.lines.data]

    def preview(self) -> list[Any]:
        """Return the lines that the current period has by now."""
        params = {"subscription": self.subscription.id}
        return self.lines([self.sandbox.call(lambda client: client.v1.invoices.create_preview(params))])

    def invoices(self) -> list[Any]:
        """Return the invoices, newest first."""
        listed = self.sandbox.call(lambda client: client.v1.invoices.list({"subscription": self.subscription.id}))
        return list(listed.data)

    def quantity(self, lines: Iterable[Any], meter: Any) -> int:
        """Return what lines bill for a meter."""
        price = next(item.price for item in self.subscription["items"].data if item.price.recurring.meter == meter.id)
        return sum(line.quantity for line in lines if line.pricing.price_details.price == price.id)


def _wait_until_counted(sandbox: Sandbox, meter: Any, customer: str, value: int, at: datetime) -> bool:
    hour = hour_of(at)

    def counted() -> float:
        return hourly_summaries(sandbox.gateway, meter.id, customer, hour, hour + HOUR).get(hour, 0)

    return sandbox.eventually(counted, value) == value


def _subscribed(
    sandbox: Sandbox, start: datetime, formulas: Sequence[str] = ("sum",), price: Any = None, **params: Any
) -> _Subscribed:
    clock = sandbox.clock(start)
    customer = sandbox.customer(test_clock=clock)
    meters = [sandbox.meter(formula) for formula in formulas]
    asked = {
        "customer": customer,
        "items": [{"price": sandbox.metered_price(meter, **(price or {}))} for meter in meters],
        **params,
    }
    subscription = sandbox.call(lambda client: client.v1.subscriptions.create(asked))
    return _Subscribed(sandbox, clock, customer, subscription, meters)


def _ago(days: int, minutes: int = 0) -> datetime:
    return hour_of(datetime.now(UTC)) - days * DAY + minutes * MINUTE


# --- the questions


def _boundary(sandbox: Sandbox, *, by_invoice: bool) -> str:
    """Let a period end at half past; one meter's event comes before in that hour, another's after."""
    start = _ago(33, 30)
    it = _subscribed(sandbox, start, ("sum", "sum"))
    before, after = it.meters
    end = from_unix(it.subscription["items"].data[0].current_period_end)
    sandbox.advance(it.clock, start + 2 * HOUR)
    for meter in it.meters:
        # A period without usage would make no invoice.
        it.send(meter, 100, start + HOUR)
    sandbox.advance(it.clock, end + 10 * MINUTE)
    it.send(before, 7, end - 20 * MINUTE)
    it.send(after, 7, end + 5 * MINUTE)
    if by_invoice:
        sandbox.advance(it.clock, end + 3 * HOUR)
        lines = it.lines(it.invoices())
        in_ending = tuple(it.quantity(lines, meter) - 100 for meter in it.meters)
    else:
        in_ending = tuple(7 - it.quantity(it.preview(), meter) for meter in it.meters)
    known: dict[tuple[int, ...], str] = {(7, 0): "timestamp", (7, 7): "ending period", (0, 0): "beginning period"}
    return known.get(in_ending, f"{in_ending} of (7, 7)")


def _last(sandbox: Sandbox) -> str:
    start = _ago(3)
    it = _subscribed(sandbox, start, ("last",))
    (meter,) = it.meters
    sandbox.advance(it.clock, start + 5 * HOUR)
    it.send(meter, 8, start + 3 * HOUR)
    it.send(meter, 3, start + 2 * HOUR)
    quantity = it.quantity(it.preview(), meter)
    return {8: "timestamp", 3: "arrival"}.get(quantity, str(quantity))


def _trial(sandbox: Sandbox) -> str:
    start = _ago(5)
    it = _subscribed(sandbox, start, trial_period_days=1)
    (meter,) = it.meters
    sandbox.advance(it.clock, start + 2 * HOUR)
    it.send(meter, 1000, start + HOUR)
    sandbox.advance(it.clock, start + DAY + 3 * HOUR)
    invoices = it.invoices()
    if any(invoice.total for invoice in invoices):
        return "charged"
    quantity = it.quantity(it.lines(invoices), meter)
    return {1000: "shown", 0: "left out"}.get(quantity, str(quantity))


def _before_the_start(sandbox: Sandbox) -> str:
    start = _ago(3, 30)
    it = _subscribed(sandbox, start)
    (meter,) = it.meters
    it.send(meter, 5, start - 10 * MINUTE)
    quantity = it.quantity(it.preview(), meter)
    return {5: "billed", 0: "not billed"}.get(quantity, str(quantity))


def _packages(sandbox: Sandbox) -> str:
    start = _ago(3)
    it = _subscribed(sandbox, start, price={"transform_quantity": {"divide_by": 100, "round": "up"}})
    (meter,) = it.meters
    sandbox.advance(it.clock, start + 2 * HOUR)
    it.send(meter, 250, start + HOUR)
    quantity = it.quantity(it.preview(), meter)
    return {250: "units", 3: "packages"}.get(quantity, str(quantity))


def _stream(sandbox: Sandbox) -> str:
    meter, customer, at = sandbox.meter(), sandbox.customer(), _ago(1, 1)
    try:
        sandbox.call(lambda client: client.v2.billing.meter_event_session.create())
    except BillingError:
        return "refused"
    event = {
        "event_name": meter.event_name,
        "identifier": f"{sandbox.run}-stream",
        "timestamp": rfc3339(at.timestamp()),
        "payload": {"stripe_customer_id": customer, "value": "5"},
    }
    MeterEvents(sandbox.gateway).stream([event])
    return "taken" if _wait_until_counted(sandbox, meter, customer, 5, at) else "not counted"


_PERIODS = ("timestamp", "ending period", "beginning period")
QUESTIONS = (
    Question(
        "A boundary's hour, in a preview", _PERIODS, "not the ending period", lambda it: _boundary(it, by_invoice=False)
    ),
    Question(
        "A boundary's hour, on the invoice",
        _PERIODS,
        "not the ending period",
        lambda it: _boundary(it, by_invoice=True),
    ),
    Question("`last` of hours that came out of order", ("timestamp", "arrival"), "either", _last),
    Question("Usage in a trial, on a line", ("shown", "left out"), "either, never charged", _trial),
    Question("Stamped before the start, same hour", ("billed", "not billed"), "either, never sent", _before_the_start),
    Question("`quantity` with transform_quantity", ("units", "packages"), "units", _packages),
    Question("The stream with a test key", ("taken", "refused"), "either, unused (auto)", _stream),
)
