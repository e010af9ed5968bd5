"""From an HTTP request to the account and back: keys, idempotency, faults, the log, Stripe's error answers."""

from __future__ import annotations

import base64
import binascii
import json
import time
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


class Server:
    """Handle requests, one at a time, on the event loop's thread; tests' threads are kept out by the account's lock."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._in_progress: set[str] = set()
        self._tokens = 0.0
        self._tokens_at = time.monotonic()

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer any request."""
        try:
            if request.path.startswith("/_simulator"):
                return control(self._simulator, request)
            answer, logged = self._handle(request)
            if answer.compute is None:
                self._simulator.requests.by_status[f"{logged.route} {logged.status}"] += 1
            return answer
        except Exception as exc:  # a defect of the simulator: say so, where a dropped connection would say nothing
            body = {
                "error": {
                    "type": "api_error",
                    "message": f"The simulator failed: {type(exc).__name__}: {exc}",
                }
            }
            return HttpResponse(500, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _handle(self, request: HttpRequest) -> tuple[HttpResponse, LoggedRequest]:
        log = self._simulator.requests
        route, arguments = find_route(request.method, request.path)
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
        try:
            logged.params = _parameters(request)
            self._check_rate()
        except ApiError as exc:
            return self._answer(logged, exc.status, _dump(exc.body()), exc.headers), logged
        fault = self._simulator.faults.pick(request.method, request.path)
        if fault is None:
            return self._perform(request, route, arguments, logged, None), logged
        logged.fault = fault.kind
        return self._with_fault(request, route, arguments, logged, fault), logged

    def _with_fault(
        self,
        request: HttpRequest,
        route: Route | None,
        arguments: list[str],
        logged: LoggedRequest,
        fault: Fault,
    ) -> HttpResponse:
        if fault.way == "delay":
            key = logged.idempotency_key
            if key is not None:
                self._in_progress.add(key)

            def late() -> HttpResponse:
                self._in_progress.discard(key or "")
                answer = self._perform(request, route, arguments, logged, None)
                self._simulator.requests.by_status[f"{logged.route} {logged.status}"] += 1
                return answer

            return HttpResponse(delay_seconds=fault.seconds, compute=late)
        if fault.after_effect:
            performed = self._perform(request, route, arguments, logged, fault)
            if performed.status == 401:
                return performed
        elif fault.status is not None and fault.status >= 500:
            self._save(request, route, logged, fault.status, _dump(fault.error()[1]))
        logged.status = fault.status
        if fault.way == "http":
            status, body, headers = fault.error()
            return self._answer(logged, status, _dump(body), headers)
        if fault.way == "not_json_after_effect":
            return self._answer(logged, 200, b"<html>proxy</html>", {"Content-Type": "text/html"})
        return HttpResponse(cut=True, delay_seconds=fault.seconds if fault.way == "timeout" else 0)

    def _perform(
        self,
        request: HttpRequest,
        route: Route | None,
        arguments: list[str],
        logged: LoggedRequest,
        fault: Fault | None,
    ) -> HttpResponse:
        """Check the key, replay or run the route, and save the answer (a fault's status instead, where it has one)."""
        account = self._simulator.account
        saved_status, headers = 0, {}
        with account.lock:
            try:
                account.catch_up()
                livemode = self._authenticate(request)
                if route is None:
                    raise ApiError(
                        404,
                        f"Unrecognized request URL ({request.method}: {request.path}). Please see https://stripe.com/docs.",
                    )
                replay = self._replay(request, route, logged)
                if replay is not None:
                    return replay
                with account._as_request(logged.request_id, logged.idempotency_key):
                    result = route.run(Call(account, logged.params, arguments, livemode))
                paths = sequence(logged.params, "expand") if route.path.startswith("/v1") else []
                if paths:
                    result = account.expand(result, [str(path) for path in paths])
                status, body = 200, _dump(result)
                saved_status = status
            except ApiError as exc:
                status, body, headers = exc.status, _dump(exc.body()), exc.headers
                logged.error = exc.body()["error"]
                saved_status = status if exc.saved else 0
        if saved_status:
            if fault is not None and fault.status is not None and fault.status >= 500:
                self._save(request, route, logged, fault.status, _dump(fault.error()[1]))
            else:
                self._save(request, route, logged, status, body)
        return self._answer(logged, status, body, headers)

    def _replay(self, request: HttpRequest, route: Route, logged: LoggedRequest) -> HttpResponse | None:
        key = logged.idempotency_key
        if key is None or not route.idempotent:
            return None
        if key in self._in_progress:
            raise ApiError(
                409,
                "There is currently another in-progress request using this Idempotent Key.",
                type="idempotency_error",
                code="idempotency_key_in_use",
            )
        account = self._simulator.account
        saved = self._simulator.idempotency_keys.find(key, request.path, request.body, logged.params, account.now())
        if saved is None:
            return None
        logged.replayed = True
        return self._answer(logged, saved.status, saved.answer, {"Idempotent-Replayed": "true"})

    def _save(self, request: HttpRequest, route: Route | None, logged: LoggedRequest, status: int, body: bytes) -> None:
        key = logged.idempotency_key
        if key is None or route is None or not route.idempotent:
            return
        if route.path.startswith("/v2") and status >= 400:
            return
        expires = self._simulator.account.now() + KEPT_SECONDS
        answer = SavedResponse(request.path, request.body, logged.params, status, body, expires)
        self._simulator.idempotency_keys.save(key, answer)

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

    def _answer(self, logged: LoggedRequest, status: int, body: bytes, headers: dict[str, str]) -> HttpResponse:
        logged.status = status
        answered = {"Content-Type": "application/json", "Request-Id": logged.request_id}
        if logged.idempotency_key is not None:
            answered["Idempotency-Key"] = logged.idempotency_key
        answered.update(headers)
        return HttpResponse(status, body, answered)


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
