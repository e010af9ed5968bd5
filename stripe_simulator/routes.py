"""Every route of Stripe's API that the simulator has, and the resource that it calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stripe_simulator import destinations, meter_event_endpoints
from stripe_simulator.account import Account
from stripe_simulator.events import thin_page
from stripe_simulator.parameters import Params, integer, page_limit, sequence
from stripe_simulator.resources import page


@dataclass(slots=True)
class Call:
    """One call as a route sees it: account, parameters, identifiers in the path, and whether the key is live."""

    account: Account
    params: Params
    identifiers: list[str]
    livemode: bool

    @property
    def id(self) -> str:
        """Return the identifier in the path."""
        return self.identifiers[0]


@dataclass(frozen=True)
class Route:
    """A method and path, what it runs, and whether its responses are kept for idempotency keys."""

    method: str
    path: str
    run: Callable[[Call], Any]
    is_idempotent: bool


def _v1_endpoints(call: Call) -> Any:
    endpoints = [each.as_v1() for each in destinations.made_by(call.account, "v1")]
    return page(endpoints, call.params, destinations.V1_URL)


def _v2_destinations(call: Call) -> Any:
    include = sequence(call.params, "include")
    shown = [each.as_v2(include) for each in destinations.made_by(call.account, "v2")]
    start = integer(call.params, "page") or 0
    return thin_page(shown, destinations.V2_URL, call.params, start, page_limit(call.params, 20))


def _v1_account(call: Call) -> Any:
    return {
        "id": "acct_simulator",
        "object": "account",
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "metadata": {},
        "type": "standard",
    }


_TABLE: list[tuple[str, Callable[[Call], Any]]] = [
    ("POST /v1/billing/meter_events", meter_event_endpoints.create_event),
    ("POST /v1/billing/meter_event_adjustments", meter_event_endpoints.create_adjustment),
    ("POST /v1/billing/meters", lambda c: c.account.meters.create(c.params)),
    ("GET /v1/billing/meters", lambda c: c.account.meters.list(c.params)),
    ("GET /v1/billing/meters/{id}", lambda c: c.account.meters.retrieve(c.id)),
    ("POST /v1/billing/meters/{id}", lambda c: c.account.meters.update(c.id, c.params)),
    ("POST /v1/billing/meters/{id}/deactivate", lambda c: c.account.meters.deactivate(c.id)),
    ("POST /v1/billing/meters/{id}/reactivate", lambda c: c.account.meters.reactivate(c.id)),
    ("GET /v1/billing/meters/{id}/event_summaries", lambda c: c.account.summaries.list(c.id, c.params)),
    ("GET /v1/account", _v1_account),
    ("POST /v1/customers", lambda c: c.account.customers.create(c.params)),
    ("GET /v1/customers", lambda c: c.account.customers.list(c.params)),
    ("GET /v1/customers/search", lambda c: c.account.customers.search(c.params)),
    ("GET /v1/customers/{id}", lambda c: c.account.customers.retrieve(c.id)),
    ("POST /v1/customers/{id}", lambda c: c.account.customers.update(c.id, c.params)),
    ("DELETE /v1/customers/{id}", lambda c: c.account.customers.delete(c.id)),
    ("POST /v1/products", lambda c: c.account.products.create(c.params)),
    ("GET /v1/products", lambda c: c.account.products.list(c.params)),
    ("GET /v1/products/{id}", lambda c: c.account.products.retrieve(c.id)),
    ("POST /v1/products/{id}", lambda c: c.account.products.update(c.id, c.params)),
    ("DELETE /v1/products/{id}", lambda c: c.account.products.delete(c.id)),
    ("POST /v1/prices", lambda c: c.account.prices.create(c.params)),
    ("GET /v1/prices", lambda c: c.account.prices.list(c.params)),
    ("GET /v1/prices/{id}", lambda c: c.account.prices.retrieve(c.id)),
    ("POST /v1/prices/{id}", lambda c: c.account.prices.update(c.id, c.params)),
    ("POST /v1/subscriptions", lambda c: c.account.subscriptions.create(c.params)),
    ("GET /v1/subscriptions", lambda c: c.account.subscriptions.list(c.params)),
    ("GET /v1/subscriptions/{id}", lambda c: c.account.subscriptions.retrieve(c.id)),
    ("POST /v1/subscriptions/{id}", lambda c: c.account.subscriptions.update(c.id, c.params)),
    ("DELETE /v1/subscriptions/{id}", lambda c: c.account.subscriptions.cancel(c.id, c.params)),
    ("POST /v1/subscriptions/{id}/pause", lambda c: c.account.subscriptions.pause(c.id, c.params)),
    ("POST /v1/subscriptions/{id}/resume", lambda c: c.account.subscriptions.resume(c.id)),
    ("GET /v1/invoices", lambda c: c.account.invoices.list(c.params)),
    ("POST /v1/invoices/create_preview", lambda c: c.account.invoices.preview(c.params)),
    ("GET /v1/invoices/{id}", lambda c: c.account.invoices.retrieve(c.id)),
    ("POST /v1/invoices/{id}", lambda c: c.account.invoices.update(c.id, c.params)),
    ("DELETE /v1/invoices/{id}", lambda c: c.account.invoices.delete(c.id)),
    ("GET /v1/invoices/{id}/lines", lambda c: c.account.invoices.lines(c.id, c.params)),
    ("POST /v1/invoices/{id}/finalize", lambda c: c.account.invoices.finalize(c.id, c.params)),
    ("POST /v1/invoices/{id}/pay", lambda c: c.account.invoices.pay(c.id)),
    ("POST /v1/invoices/{id}/void", lambda c: c.account.invoices.void(c.id)),
    ("POST /v1/invoices/{id}/mark_uncollectible", lambda c: c.account.invoices.mark_uncollectible(c.id)),
    ("POST /v1/checkout/sessions", lambda c: c.account.checkout_sessions.create(c.params)),
    ("GET /v1/checkout/sessions", lambda c: c.account.checkout_sessions.list(c.params)),
    ("GET /v1/checkout/sessions/{id}", lambda c: c.account.checkout_sessions.retrieve(c.id)),
    ("GET /v1/checkout/sessions/{id}/line_items", lambda c: c.account.checkout_sessions.line_items(c.id)),
    ("POST /v1/checkout/sessions/{id}/expire", lambda c: c.account.checkout_sessions.expire(c.id)),
    ("POST /v1/billing_portal/sessions", lambda c: c.account.portal_sessions.create(c.params)),
    ("POST /v1/billing_portal/configurations", lambda c: c.account.portal_configurations.create(c.params)),
    ("GET /v1/billing_portal/configurations", lambda c: c.account.portal_configurations.list(c.params)),
    ("GET /v1/billing_portal/configurations/{id}", lambda c: c.account.portal_configurations.retrieve(c.id)),
    (
        "POST /v1/billing_portal/configurations/{id}",
        lambda c: c.account.portal_configurations.update(c.id, c.params),
    ),
    ("POST /v1/test_helpers/test_clocks", lambda c: c.account.test_clocks.create(c.params)),
    ("GET /v1/test_helpers/test_clocks", lambda c: c.account.test_clocks.list(c.params)),
    ("GET /v1/test_helpers/test_clocks/{id}", lambda c: c.account.test_clocks.retrieve(c.id)),
    ("DELETE /v1/test_helpers/test_clocks/{id}", lambda c: c.account.test_clocks.delete(c.id)),
    ("POST /v1/test_helpers/test_clocks/{id}/advance", lambda c: c.account.test_clocks.advance(c.id, c.params)),
    ("GET /v1/events", lambda c: c.account.events.list(c.params)),
    ("GET /v1/events/{id}", lambda c: c.account.events.retrieve(c.id)),
    ("POST /v1/webhook_endpoints", lambda c: destinations.create_endpoint(c.account, c.params)),
    ("GET /v1/webhook_endpoints", _v1_endpoints),
    ("GET /v1/webhook_endpoints/{id}", lambda c: destinations.find(c.account, c.id, "v1").as_v1()),
    ("POST /v1/webhook_endpoints/{id}", lambda c: destinations.update(c.account, c.id, c.params, "v1")),
    ("DELETE /v1/webhook_endpoints/{id}", lambda c: destinations.delete(c.account, c.id, "v1")),
    (
        "POST /v2/billing/meter_event_session",
        lambda c: c.account.meter_event_sessions.create(livemode=c.livemode),
    ),
    ("POST /v2/billing/meter_event_stream", meter_event_endpoints.stream_events),
    ("POST /v2/billing/meter_events", meter_event_endpoints.create_event_v2),
    ("POST /v2/billing/meter_event_adjustments", meter_event_endpoints.create_adjustment_v2),
    ("GET /v2/core/events", lambda c: c.account.events.list_thin(c.params)),
    ("GET /v2/core/events/{id}", lambda c: c.account.events.retrieve_thin(c.id)),
    ("POST /v2/core/event_destinations", lambda c: destinations.create_destination(c.account, c.params)),
    ("GET /v2/core/event_destinations", _v2_destinations),
    (
        "GET /v2/core/event_destinations/{id}",
        lambda c: destinations.find(c.account, c.id, "v2").as_v2(sequence(c.params, "include")),
    ),
    ("POST /v2/core/event_destinations/{id}", lambda c: destinations.update(c.account, c.id, c.params, "v2")),
    ("DELETE /v2/core/event_destinations/{id}", lambda c: destinations.delete(c.account, c.id, "v2")),
    (
        "POST /v2/core/event_destinations/{id}/enable",
        lambda c: destinations.set_enabled(c.account, c.id, True),
    ),
    (
        "POST /v2/core/event_destinations/{id}/disable",
        lambda c: destinations.set_enabled(c.account, c.id, False),
    ),
]

_STREAM = "/v2/billing/meter_event_stream"
ROUTES = [
    Route(method, path, run, is_idempotent=method == "POST" and path != _STREAM)
    for (method, path), run in ((name.split(" "), run) for name, run in _TABLE)
]
_FIXED = {(route.method, route.path): route for route in ROUTES if "{" not in route.path}
_WITH_ID = [
    (route.method, re.compile(re.sub(r"\{\w+\}", "([^/]+)", route.path)), route)
    for route in ROUTES
    if "{" in route.path
]


def find_route(method: str, path: str) -> tuple[Route | None, list[str]]:
    """Return the route of a path and the identifiers in it; None where Stripe (or the simulator) has no such route."""
    route = _FIXED.get((method, path))
    return (route, []) if route else _find_with_id(method, path)


@lru_cache(maxsize=4096)
def _find_with_id(method: str, path: str) -> tuple[Route | None, list[str]]:
    for allowed, pattern, route in _WITH_ID:
        match = pattern.fullmatch(path) if allowed == method else None
        if match:
            return route, list(match.groups())
    return None, []
