"""The control API, under `/_simulator/…`: for a simulator in a process of its own. Bodies and responses are JSON.

`client.py` is its client in Python; `pages.py` has the pages that a person opens in a browser.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from stripe_simulator.errors import ApiError, no_such
from stripe_simulator.faults import Fault
from stripe_simulator.pages import PAGES
from stripe_simulator.protocol import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from stripe_simulator.simulator import Simulator

Body = dict[str, Any]
PREFIX = "/_simulator/"


def control(simulator: Simulator, request: HttpRequest) -> HttpResponse:
    """Respond to a control request; an error is `{"error": {"message": …}}`."""
    name = request.path.removeprefix(PREFIX)
    kind, _, object_id = name.partition("/")
    if object_id and kind in PAGES:
        return PAGES[kind](simulator.account, request.method, object_id)
    action = ACTIONS.get((request.method, name))
    if action is None:
        return _error(404, f"The simulator has no control {request.method} {name}")
    try:
        body = _parameters(request)
    except ValueError as exc:
        return _error(400, str(exc))
    if name in _IN_THREAD:
        return HttpResponse(compute=lambda: _run(simulator, action, body), in_thread=True)
    return _run(simulator, action, body)


def _parameters(request: HttpRequest) -> Body:
    body: Body = dict(parse_qsl(request.query))
    if request.body:
        parsed = json.loads(request.body)
        if not isinstance(parsed, dict):
            raise ValueError("The body must be a JSON object")
        body |= parsed
    return body


def _run(simulator: Simulator, action: Callable[[Simulator, Body], Any], body: Body) -> HttpResponse:
    try:
        return _json(200, action(simulator, body))
    except ApiError as exc:
        return _json(exc.status, exc.body())
    except KeyError as exc:
        return _error(400, f"Missing: {exc.args[0]}")
    except (TypeError, ValueError) as exc:
        return _error(400, f"{type(exc).__name__}: {exc}")


def _json(status: int, body: Any) -> HttpResponse:
    return HttpResponse(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _error(status: int, message: str) -> HttpResponse:
    return _json(status, {"error": {"message": message}})


# --- the actions


def _read_state(simulator: Simulator, body: Body) -> Any:
    account, log = simulator.account, simulator.requests
    kinds = (
        "customers",
        "products",
        "prices",
        "subscriptions",
        "invoices",
        "checkout_sessions",
        "meters",
        "test_clocks",
    )
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


def _read_or_move_clock(simulator: Simulator, body: Body) -> Any:
    if "set" in body:
        simulator.clock.set(float(body["set"]))
    if "advance" in body:
        simulator.clock.advance(float(body["advance"]))
    if body.get("run"):
        simulator.clock.run()
    return {"now": simulator.clock.now()}


def _change_settings(simulator: Simulator, body: Body) -> Any:
    if "calls_per_second" in body:
        limit = body.pop("calls_per_second")
        simulator.calls_per_second = None if limit is None else float(limit)
    simulator.settings.update(body)
    return asdict(simulator.settings)


def _list_faults(simulator: Simulator, body: Body) -> Any:
    return [_fault(rule) for rule in simulator.faults.rules]


def _add_fault(simulator: Simulator, body: Body) -> Any:
    return _fault(simulator.faults.add(**body))


def _fault(rule: Fault) -> Body:
    return {"kind": rule.kind, "method": rule.method, "path": rule.path, "seen": rule.seen, "used": rule.used}


def _clear_faults(simulator: Simulator, body: Body) -> Any:
    simulator.faults.clear()
    return []


def _list_requests(simulator: Simulator, body: Body) -> Any:
    route, limit = body.get("route"), int(body.get("limit", 1000))
    requests = simulator.requests.to(route) if route else list(simulator.requests)
    return [asdict(request) for request in requests[max(0, len(requests) - limit) :]]


def _read_billed(simulator: Simulator, body: Body) -> Any:
    quantity = simulator.account.billed(body["customer"], body["event_name"], float(body["start"]), float(body["end"]))
    return {"quantity": quantity}


def _read_hourly(simulator: Simulator, body: Body) -> Any:
    return simulator.account.hourly(body["customer"], body["event_name"])


def _complete_checkout(simulator: Simulator, body: Body) -> Any:
    return simulator.account.complete_checkout_session(**body)


def _add_destination(simulator: Simulator, body: Body) -> Any:
    destination = simulator.webhooks.add_destination(**body)
    return {"id": destination.id, "secret": destination.secret, "url": destination.url}


def _set_webhook_mode(simulator: Simulator, body: Body) -> Any:
    if body.get("mode") == "automatic":
        simulator.webhooks.start_automatic(speed=float(body.get("speed", 1)))
    elif body.get("mode") == "manual":
        simulator.webhooks.start_manual()
    else:
        raise ValueError("mode is automatic or manual")
    return {}


def _list_deliveries(simulator: Simulator, body: Body) -> Any:
    with simulator.account.lock:
        return [delivery.summary() for delivery in simulator.webhooks.deliveries.values()]


def _take_deliveries(simulator: Simulator, body: Body) -> Any:
    return [
        {**delivery.summary(), "body": delivery.body.decode(), "headers": delivery.headers()}
        for delivery in simulator.webhooks.take(body.get("event_type"))
    ]


def _deliver(simulator: Simulator, body: Body) -> Any:
    delivery = simulator.webhooks.deliveries.get(body["id"])
    if delivery is None:
        raise no_such("delivery", body["id"])
    simulator.webhooks.deliver(delivery, body.get("url"))
    return delivery.summary()


def _tamper(simulator: Simulator, body: Body) -> Any:
    """Do by name what no call of Stripe's API does; the arguments are those of the methods."""
    account, what = simulator.account, body.pop("what")
    allowed: dict[str, Callable[..., Any]] = {
        "lose_hour": account.meter_events.lose_hour,
        "double_hour": account.meter_events.double_hour,
        "set_status": account.subscriptions.set_status,
        "delete_customer": account.customers.delete,
        "set_payment_outcome": account.customers.set_payment_outcome,
        "expire_sessions": account.meter_event_sessions.expire_all,
        "error_report": account.error_reports.trigger,
        "resend": lambda event_id: [delivery.summary() for delivery in account.webhooks.resend(event_id)],
        "rotate_secret": account.webhooks.rotate_secret,
    }
    if what not in allowed:
        raise ValueError(f"The simulator cannot {what}; it can {', '.join(allowed)}")
    return {"result": allowed[what](**body)}


ACTIONS: dict[tuple[str, str], Callable[[Simulator, Body], Any]] = {
    ("GET", "state"): _read_state,
    ("POST", "reset"): _reset,
    ("GET", "clock"): _read_or_move_clock,
    ("POST", "clock"): _read_or_move_clock,
    ("POST", "settings"): _change_settings,
    ("GET", "faults"): _list_faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "requests"): _list_requests,
    ("GET", "billed"): _read_billed,
    ("GET", "hourly"): _read_hourly,
    ("POST", "complete-checkout"): _complete_checkout,
    ("POST", "destinations"): _add_destination,
    ("POST", "webhooks"): _set_webhook_mode,
    ("GET", "deliveries"): _list_deliveries,
    ("POST", "take-deliveries"): _take_deliveries,
    ("POST", "deliver"): _deliver,
    ("POST", "tamper"): _tamper,
}
_IN_THREAD = {"deliver", "webhooks"}
