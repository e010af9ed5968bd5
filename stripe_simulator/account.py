"""One Stripe account: its state, the order of time in it, and what an invoice would bill. No HTTP.

Every resource (`account.customers`, `account.meters`, …) is plain Python: a method takes the parameters of Stripe's API
as a dict and returns what Stripe's response would hold, or raises `ApiError`. Any thread may call any public method.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import Any

from stripe_simulator.billing_portal import PortalConfigurations, PortalSessions
from stripe_simulator.checkout_sessions import CheckoutSessions
from stripe_simulator.clock import Clock, moment_in_seconds
from stripe_simulator.customers import Customers
from stripe_simulator.events import Events
from stripe_simulator.invoice_drafts import InvoiceDrafts
from stripe_simulator.invoices import Invoices
from stripe_simulator.meter_error_reports import ErrorReports
from stripe_simulator.meter_event_sessions import MeterEventSessions
from stripe_simulator.meter_event_summaries import Summaries
from stripe_simulator.meter_events import MeterEvents
from stripe_simulator.meters import Meters
from stripe_simulator.observer import Observer
from stripe_simulator.prices import Prices
from stripe_simulator.products import Products
from stripe_simulator.resources import StripeObject, synchronized
from stripe_simulator.settings import Settings
from stripe_simulator.subscriptions import Subscriptions
from stripe_simulator.test_clocks import TestClocks
from stripe_simulator.timeline import Timeline
from stripe_simulator.webhooks import Webhooks

_ALPHABET = string.ascii_letters + string.digits


@synchronized
class Account:
    """Everything that a Stripe account holds, in the simulated time of one clock.

    `public_url` is the base of the pages for people (checkout, portal, invoices); the HTTP server sets it.
    """

    def __init__(self, clock: Clock | None = None, settings: Settings | None = None) -> None:
        self.lock = RLock()
        self.clock = clock or Clock()
        self.settings = settings or Settings()
        self._initial_settings = replace(self.settings)
        self.public_url = "http://localhost"
        self.observers: list[Observer] = []
        self.request: dict[str, str | None] = {"id": None, "idempotency_key": None}
        self._start()
        self.clock.listeners.append(self.catch_up)

    def _start(self) -> None:
        self._random = random.Random(0)  # noqa: S311  # the same identifiers in every run
        self._chosen_ids: dict[str, list[str]] = {}
        self.revoked_api_keys: set[str] = set()
        self._own_timeline = self._timeline = Timeline(self.clock.now)
        self.webhooks = Webhooks(self)
        self.events = Events(self)
        self.customers = Customers(self)
        self.products = Products(self)
        self.prices = Prices(self)
        self.subscriptions = Subscriptions(self)
        self.invoices = Invoices(self)
        self.invoice_drafts = InvoiceDrafts(self)
        self.checkout_sessions = CheckoutSessions(self)
        self.portal_sessions = PortalSessions(self)
        self.portal_configurations = PortalConfigurations(self)
        self.meters = Meters(self)
        self.meter_events = MeterEvents(self)
        self.meter_event_sessions = MeterEventSessions(self)
        self.error_reports = ErrorReports(self)
        self.summaries = Summaries(self)
        self.test_clocks = TestClocks(self)

    def reset(self) -> None:
        """Empty the account and put its settings back to those it started with; the clock is left alone."""
        self.webhooks.close()
        self.settings.update(vars(self._initial_settings))
        self._start()

    # --- time

    def now(self) -> float:
        """Return the time in Unix seconds: the clock's (within `on_clock` the test clock's), or a task's own time."""
        return self._timeline.now()

    def arrival_time(self) -> float:
        """Return the time at which requests arrive, in Unix seconds: no test clock moves it."""
        return self._own_timeline.now()

    def next_change_at(self) -> float | None:
        """Return when the account does something by itself next, in Unix seconds: a renewal, a final invoice."""
        return self._own_timeline.next_at()

    def schedule(self, at: float, task: Callable[[], None]) -> None:
        """Have a task run once the clock (within `on_clock` the test clock) passes a time, in the order of times."""
        self._timeline.schedule(at, task)

    def catch_up(self) -> None:
        """Run every task that is due; the server does it before each request, a moved clock at once."""
        self._own_timeline.catch_up()

    @contextmanager
    def on_clock(self, test_clock: str | None) -> Iterator[None]:
        """Let it be the time of a test clock within the block; without one nothing changes."""
        before = self._timeline
        self._timeline = self.test_clocks.timelines.get(test_clock or "", before)
        try:
            yield
        finally:
            self._timeline = before

    def clock_of(self, customer_id: str) -> str | None:
        """Return the test clock of a customer, or None."""
        clock: str | None = self.customers.objects.get(customer_id, {}).get("test_clock")
        return clock

    # --- identifiers and links between objects

    def new_id(self, prefix: str, length: int = 14) -> str:
        """Make an identifier such as `cus_…`; the same calls after a reset make the same identifiers."""
        chosen = self._chosen_ids.get(prefix)
        if chosen:
            return chosen.pop(0)
        return f"{prefix}_{''.join(self._random.choices(_ALPHABET, k=length))}"

    @contextmanager
    def chosen_ids(self, ids: dict[str, list[str]]) -> Iterator[None]:
        """Give the next objects these identifiers, by prefix: `{"cus": ["cus_first", "cus_second"]}`.

        After them, and after the block, identifiers are random again.
        """
        self._chosen_ids = {prefix: list(chosen) for prefix, chosen in ids.items()}
        try:
            yield
        finally:
            self._chosen_ids = {}

    def expand(self, result: StripeObject, paths: list[str]) -> StripeObject:
        """Replace identifiers by their objects, in place, along paths such as `customer.subscriptions`.

        See https://docs.stripe.com/expand. Unknown paths are ignored.
        """
        for path in paths:
            self._expand(result, path.split("."))
        return result

    def _expand(self, node: Any, path: list[str]) -> None:
        if isinstance(node, list):
            for item in node:
                self._expand(item, path)
            return
        if not isinstance(node, dict) or not path:
            return
        field, *rest = path
        value = node.get(field)
        if isinstance(value, str):
            value = node[field] = self._object(value) or value
        elif field == "subscriptions" and node.get("object") == "customer":
            value = node[field] = self.subscriptions.list({"customer": node["id"]})
        elif field == "line_items" and node.get("object") == "checkout.session":
            value = node[field] = self.checkout_sessions.line_items(node["id"])
        self._expand(value, rest)

    def _object(self, identifier: str) -> StripeObject | None:
        retrieve_by_prefix: dict[str, Callable[[str], StripeObject]] = {
            "cus": self.customers.retrieve,
            "sub": self.subscriptions.retrieve,
            "in": self.invoices.retrieve,
            "price": self.prices.retrieve,
            "prod": self.products.retrieve,
            "mtr": self.meters.retrieve,
            "cs": self.checkout_sessions.retrieve,
            "clock": self.test_clocks.retrieve,
        }
        retrieve = retrieve_by_prefix.get(identifier.partition("_")[0])
        return retrieve(identifier) if retrieve else None

    @contextmanager
    def as_request(self, request_id: str, idempotency_key: str | None) -> Iterator[None]:
        """Name the request that causes the events made within the block."""
        self.request = {"id": request_id, "idempotency_key": idempotency_key}
        try:
            yield
        finally:
            self.request = {"id": None, "idempotency_key": None}

    # --- what tests ask for

    def complete_checkout_session(self, session_id: str, **changes: Any) -> StripeObject:
        """Act as the buyer who pays: see `CheckoutSessions.complete`."""
        return self.checkout_sessions.complete(session_id, **changes)

    def billed(self, customer_id: str, event_name: str, start: Any, end: Any) -> int:
        """Return the quantity an invoice for `start` (inclusive) to `end` (exclusive) bills for one meter.

        `Settings.boundary_window` says to which period the windows at its ends belong. A `sum` meter with an hour
        window bills the sum of the hours' most recent events, a `last` meter the last value in the period. Moments are
        Unix seconds or aware datetimes.
        """
        return self.meter_events.aggregate(customer_id, event_name, moment_in_seconds(start), moment_in_seconds(end))

    def hourly(self, customer_id: str, event_name: str) -> dict[int, int]:
        """Return what counts in every UTC hour that has usage: `{start of the hour in Unix seconds: value}`."""
        return self.meter_events.windows(customer_id, event_name, 3600)
