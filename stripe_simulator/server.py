"""From an HTTP request to the account and back: API keys, idempotency, faults, the log, Stripe's errors."""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stripe_simulator.control import control
from stripe_simulator.errors import ApiError
from stripe_simulator.faults import Fault
from stripe_simulator.idempotency import KEPT_SECONDS, SavedResponse
from stripe_simulator.parameters import Params, parse_form, sequence
from stripe_simulator.protocol import HttpRequest, HttpResponse
from stripe_simulator.request_log import LoggedRequest
from stripe_simulator.routes import Call, Route, find_route

if TYPE_CHECKING:
    from stripe_simulator.simulator import Simulator

STREAM_PATH = "/v2/billing/meter_event_stream"
_KEY_PREFIXES = ("sk_test_", "rk_test_", "sk_live_", "rk_live_")
_UNAUTHORIZED = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
    "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details."
)


@dataclass(slots=True)
class _Incoming:
    """One request of Stripe's API: its route (None: unknown), the identifiers in its path, and its place in the log."""

    request: HttpRequest
    route: Route | None
    identifiers: list[str]
    logged: LoggedRequest

    def known_route(self) -> Route:
        """Return the route.

        Raises:
            ApiError: 404 where the simulator has none for the path.
        """
        if self.route is None:
            raise ApiError(
                404,
                f"Unrecognized request URL ({self.request.method}: {self.request.path}). "
                "Please see https://stripe.com/docs.",
            )
        return self.route


class Server:
    """The handler of requests, one at a time on the event loop's thread; the account's lock keeps other threads out."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._keys_in_use: set[str] = set()
        self._tokens = 0.0
        self._tokens_at = time.monotonic()

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Respond to any request."""
        try:
            if request.path.startswith("/_simulator"):
                return control(self._simulator, request)
            logged, route, identifiers = self._log(request)
            response = self._handle(_Incoming(request, route, identifiers, logged))
            if response.compute is None:
                self._count(logged)
            return response
        except Exception as exc:  # a defect of the simulator: say so, where a dropped connection would say nothing
            message = f"The simulator failed: {type(exc).__name__}: {exc}"
            body = _dump({"error": {"type": "api_error", "message": message}})
            return HttpResponse(500, body, {"Content-Type": "application/json"})

    def _log(self, request: HttpRequest) -> tuple[LoggedRequest, Route | None, list[str]]:
        log = self._simulator.requests
        route, identifiers = find_route(request.method, request.path)
        log.total += 1
        name = f"{request.method} {route.path}" if route else "unknown"
        log.by_route[name] += 1
        logged = LoggedRequest(
            log.total,
            self._simulator.clock.now(),
            request.method,
            request.path,
            name,
            {},
            request.headers.get("idempotency-key"),
            f"req_{log.total:014d}",
        )
        if log.limit:
            log.add(logged)
        if route is None:
            log.unknown.append(f"{request.method} {request.path}")
        return logged, route, identifiers

    def _count(self, logged: LoggedRequest) -> None:
        self._simulator.requests.by_status[f"{logged.route} {logged.status}"] += 1

    def _handle(self, incoming: _Incoming) -> HttpResponse:
        request, logged = incoming.request, incoming.logged
        try:
            logged.params = _parameters(request)
            self._check_rate()
        except ApiError as exc:
            return _response(logged, exc.status, _dump(exc.body()), exc.headers)
        fault = self._simulator.faults.pick(request.method, request.path)
        if fault is None:
            return self._perform(incoming)
        logged.fault = fault.kind
        return self._delay(incoming, fault) if fault.is_delay else self._fail(incoming, fault)

    def _delay(self, incoming: _Incoming, fault: Fault) -> HttpResponse:
        """Perform the request later; meanwhile its idempotency key is in use."""
        key = incoming.logged.idempotency_key
        if key is not None:
            self._keys_in_use.add(key)

        def perform() -> HttpResponse:
            self._keys_in_use.discard(key or "")
            response = self._perform(incoming)
            self._count(incoming.logged)
            return response

        return HttpResponse(delay_seconds=fault.seconds, compute=perform)

    def _fail(self, incoming: _Incoming, fault: Fault) -> HttpResponse:
        logged, performed = incoming.logged, None
        if fault.is_after_effect:
            performed = self._perform(incoming, fault)
            if performed.status == 401:
                return performed
        elif fault.saved_status is not None:
            self._save(incoming, fault.saved_status, fault.error_body())
        response = fault.response(_headers(logged), performed)
        logged.status = None if response.cut else response.status
        return response

    def _perform(self, incoming: _Incoming, fault: Fault | None = None) -> HttpResponse:
        """Check the key, replay or run the route, and save the response; a 5xx of a fault is saved in its place."""
        account, logged = self._simulator.account, incoming.logged
        headers: dict[str, str] = {}
        with account.lock:
            try:
                account.catch_up()
                livemode = self._authenticate(incoming.request)
                route = incoming.known_route()
                replay = self._replay(incoming, route)
                if replay is not None:
                    return replay
                with account.as_request(logged.request_id, logged.idempotency_key):
                    result = route.run(Call(account, logged.params, incoming.identifiers, livemode))
                if route.path.startswith("/v1"):
                    account.expand(result, [str(path) for path in sequence(logged.params, "expand")])
                status, is_saved = 200, True
            except ApiError as exc:
                result, status, is_saved, headers = exc.body(), exc.status, exc.saved, exc.headers
                logged.error = result["error"]
            logged.status, body = status, _dump(result)
            for observer in account.observers:
                observer.exchanged(logged, result)
        if is_saved and fault is not None and fault.saved_status is not None:
            self._save(incoming, fault.saved_status, fault.error_body())
        elif is_saved:
            self._save(incoming, status, body)
        return _response(logged, status, body, headers)

    def _replay(self, incoming: _Incoming, route: Route) -> HttpResponse | None:
        request, logged = incoming.request, incoming.logged
        key = logged.idempotency_key
        if key is None or not route.is_idempotent:
            return None
        if key in self._keys_in_use:
            raise ApiError(
                409,
                "There is currently another in-progress request using this Idempotent Key.",
                type="idempotency_error",
                code="idempotency_key_in_use",
            )
        now = self._simulator.account.now()
        saved = self._simulator.idempotency_keys.find(key, request.path, request.body, logged.params, now)
        if saved is None:
            return None
        logged.replayed = True
        return _response(logged, saved.status, saved.body, {"Idempotent-Replayed": "true"})

    def _save(self, incoming: _Incoming, status: int, body: bytes) -> None:
        request, route, logged = incoming.request, incoming.route, incoming.logged
        key = logged.idempotency_key
        if key is None or route is None or not route.is_idempotent:
            return
        if route.path.startswith("/v2") and status >= 400:
            return
        expires = self._simulator.account.now() + KEPT_SECONDS
        response = SavedResponse(request.path, request.body, logged.params, status, body, expires)
        self._simulator.idempotency_keys.save(key, response)

    def _authenticate(self, request: HttpRequest) -> bool:
        """Check the key and say whether it is a live one; the stream takes session tokens only.

        Raises:
            ApiError: 401 without a key Stripe would know.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                token = base64.b64decode(token, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                token = ""
        if not token or scheme.lower() not in ("bearer", "basic"):
            raise ApiError(401, _UNAUTHORIZED)
        if request.path == STREAM_PATH:
            self._simulator.account.meter_event_sessions.check(token)
        elif not token.startswith(_KEY_PREFIXES):
            raise ApiError(401, f"Invalid API Key provided: {token[:8]}****", code=None)
        elif token in self._simulator.account.revoked_api_keys:
            raise ApiError(401, f"Expired API Key provided: {token[:8]}****", code="api_key_expired")
        return token[3:8] == "live_"

    def _check_rate(self) -> None:
        """Spend one of the calls a second there may be (real seconds; `Simulator.calls_per_second`).

        Raises:
            ApiError: 429 with Stripe-Rate-Limited-Reason.
        """
        limit = self._simulator.calls_per_second
        if limit is None:
            return
        now = time.monotonic()
        self._tokens = min(limit, self._tokens + (now - self._tokens_at) * limit)
        self._tokens_at = now
        if self._tokens < 1:
            raise ApiError(
                429,
                "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
                code="rate_limit",
                headers={"Stripe-Rate-Limited-Reason": "global-rate"},
            )
        self._tokens -= 1


def _headers(logged: LoggedRequest) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Request-Id": logged.request_id}
    if logged.idempotency_key is not None:
        headers["Idempotency-Key"] = logged.idempotency_key
    return headers


def _response(logged: LoggedRequest, status: int, body: bytes, headers: dict[str, str]) -> HttpResponse:
    logged.status = status
    return HttpResponse(status, body, _headers(logged) | headers)


def _parameters(request: HttpRequest) -> Params:
    """Parse the query, or the body: JSON for v2, a form for v1.

    Raises:
        ApiError: 400 for a body that is not what it should be.
    """
    if request.method != "POST":
        return parse_form(request.query)
    try:
        if not request.path.startswith("/v2"):
            return parse_form(request.body.decode())
        parsed: Any = json.loads(request.body) if request.body else {}
    except ValueError:
        raise ApiError(400, "The request body is not valid.", code="invalid_request_body") from None
    if not isinstance(parsed, dict):
        raise ApiError(400, "The request body must be a JSON object.", code="invalid_request_body")
    return parsed


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _dump(body: Any) -> bytes:
    return _encode(body).encode()
