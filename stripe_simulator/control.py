"""Control over HTTP, under `/_simulator/…`, for a simulator in a process of its own. Bodies and answers are JSON.

`client.py` is the Python side of it. `GET /_simulator/checkout/{id}` is a page on which a person pays.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from stripe_simulator.errors import ApiError
from stripe_simulator.protocol import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from stripe_simulator.simulator import Simulator

Body = dict[str, Any]
PREFIX = "/_simulator/"


def control(simulator: Simulator, request: HttpRequest) -> HttpResponse:
    """Answer a control request; errors are `{"error": {"message": …}}`."""
    name = request.path.removeprefix(PREFIX)
    try:
        if name.startswith(("checkout/", "portal/")):
            return _page(simulator, request.method, *name.split("/", 1))
        body: Body = dict(parse_qsl(request.query))
        if request.body:
            body |= json.loads(request.body)
        action = _ACTIONS.get((request.method, name))
        if action is None:
            return _json(404, {"error": {"message": f"The simulator has no control {request.method} {name}"}})
        if name in _IN_THREAD:
            return HttpResponse(compute=lambda: _run(simulator, action, body), in_thread=True)
        return _run(simulator, action, body)
    except ValueError as exc:
        return _json(400, {"error": {"message": str(exc)}})


def _run(simulator: Simulator, action: Callable[[Simulator, Body], Any], body: Body) -> HttpResponse:
    try:
        return _json(200, action(simulator, body))
    except ApiError as exc:
        return _json(exc.status, exc.body())
    except (KeyError, TypeError, ValueError) as exc:
        return _json(400, {"error": {"message": f"{type(exc).__name__}: {exc}"}})


def _json(status: int, body: Any) -> HttpResponse:
    return HttpResponse(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


# --- the actions


def _state(simulator: Simulator, body: Body) -> Any:
    account, log = simulator.account, simulator.requests
    kinds = ("customers", "products", "prices", "subscriptions", "invoices", "checkout_sessions", "meters")
    with account.lock:
        return {
            "now": simulator.clock.now(),
            "settings": asdict(simulator.settings),
            **{kind: list(getattr(account, kind).objects.values()) for kind in kinds},
            "meter_events": {
                "accepted": account.meter_events.accepted,
                "duplicates": account.meter_events.duplicates,
            },
            "requests": {
                "total": log.total,
                "by_route": dict(log.by_route),
                "by_status": dict(log.by_status),
                "unknown": log.unknown,
            },
            "waiting_deliveries": len(account.webhooks.waiting),
        }


def _reset(simulator: Simulator, body: Body) -> Any:
    simulator.reset()
    return {}


def _clock(simulator: Simulator, body: Body) -> Any:
    if "set" in body:
        simulator.clock.set(float(body["set"]))
    if "advance" in body:
        simulator.clock.advance(float(body["advance"]))
    if body.get("run"):
        simulator.clock.run()
    return {"now": simulator.clock.now()}


def _settings(simulator: Simulator, body: Body) -> Any:
    if "calls_per_second" in body:
        limit = body.pop("calls_per_second")
        simulator.calls_per_second = None if limit is None else float(limit)
    simulator.settings.update(body)
    return asdict(simulator.settings)


def _faults(simulator: Simulator, body: Body) -> Any:
    return [_shown_fault(rule) for rule in simulator.faults.rules]


def _add_fault(simulator: Simulator, body: Body) -> Any:
    return _shown_fault(simulator.faults.add(**body))


def _shown_fault(rule: Any) -> Body:
    return {"kind": rule.kind, "method": rule.method, "path": rule.path, "seen": rule.seen, "used": rule.used}


def _clear_faults(simulator: Simulator, body: Body) -> Any:
    simulator.faults.clear()
    return []


def _requests(simulator: Simulator, body: Body) -> Any:
    route = body.get("route")
    found = simulator.requests.to(route) if route else list(simulator.requests)
    return [asdict(request) for request in found[-int(body.get("limit", 1000)) :]]


def _billed(simulator: Simulator, body: Body) -> Any:
    quantity = simulator.account.billed(body["customer"], body["event_name"], float(body["start"]), float(body["end"]))
    return {"quantity": quantity}


def _hourly(simulator: Simulator, body: Body) -> Any:
    return simulator.account.hourly(body["customer"], body["event_name"])


def _complete(simulator: Simulator, body: Body) -> Any:
    return simulator.account.complete_checkout_session(**body)


def _destinations(simulator: Simulator, body: Body) -> Any:
    destination = simulator.webhooks.add_destination(**body)
    return {"id": destination.id, "secret": destination.secret, "url": destination.url}


def _webhook_mode(simulator: Simulator, body: Body) -> Any:
    if body.get("mode") == "automatic":
        simulator.webhooks.start_automatic(speed=float(body.get("speed", 1)))
    else:
        simulator.webhooks.start_manual()
    return {}


def _deliveries(simulator: Simulator, body: Body) -> Any:
    with simulator.account.lock:
        return [delivery.summary() for delivery in simulator.webhooks.deliveries.values()]


def _take(simulator: Simulator, body: Body) -> Any:
    return [
        {**delivery.summary(), "body": delivery.body.decode(), "headers": delivery.headers()}
        for delivery in simulator.webhooks.take(body.get("event_type"))
    ]


def _deliver(simulator: Simulator, body: Body) -> Any:
    delivery = simulator.webhooks.deliveries[body["id"]]
    simulator.webhooks.deliver(delivery, body.get("url"))
    return delivery.summary()


def _tamper(simulator: Simulator, body: Body) -> Any:
    """Do one of the damages by name, with its arguments."""
    account = simulator.account
    allowed: dict[str, Callable[..., Any]] = {
        "lose_hour": account.meter_events.lose_hour,
        "double_hour": account.meter_events.double_hour,
        "set_status": account.subscriptions.set_status,
        "delete_customer": account.customers.delete,
        "set_payment_outcome": account.customers.set_payment_outcome,
        "expire_sessions": account.meter_event_sessions.expire_all,
        "error_report": account.error_reports.trigger,
        "resend": lambda event_id: [one.summary() for one in account.webhooks.resend(event_id)],
    }
    return {"result": allowed[body.pop("what")](**body)}


_ACTIONS: dict[tuple[str, str], Callable[[Simulator, Body], Any]] = {
    ("GET", "state"): _state,
    ("POST", "reset"): _reset,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _clock,
    ("POST", "settings"): _settings,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "requests"): _requests,
    ("GET", "billed"): _billed,
    ("GET", "hourly"): _hourly,
    ("POST", "complete-checkout"): _complete,
    ("POST", "destinations"): _destinations,
    ("POST", "webhooks"): _webhook_mode,
    ("GET", "deliveries"): _deliveries,
    ("POST", "take-deliveries"): _take,
    ("POST", "deliver"): _deliver,
    ("POST", "tamper"): _tamper,
}
_IN_THREAD = {"deliver", "webhooks"}


# --- the pages


def _page(simulator: Simulator, method: str, kind: str, object_id: str) -> HttpResponse:
    sessions = simulator.account.checkout_sessions
    if kind == "portal":
        return _html(200, "<h1>Customer portal</h1><p>Of the simulated Stripe.</p>")
    try:
        if method == "POST":
            session = sessions.complete(object_id)
            target = (session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", object_id)
            return HttpResponse(303, b"", {"Location": target})
        session = sessions.retrieve(object_id)
    except ApiError as exc:
        return _html(exc.status, f"<p>{html.escape(exc.message)}</p>")
    button = '<form method="post"><button>Pay</button></form>' if session["status"] == "open" else ""
    return _html(200, f"<h1>Checkout</h1><p>{html.escape(object_id)} is {session['status']}.</p>{button}")


def _html(status: int, body: str) -> HttpResponse:
    page = f'<!doctype html><html lang="en"><title>Simulated Stripe</title><body>{body}</body></html>'
    return HttpResponse(status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
