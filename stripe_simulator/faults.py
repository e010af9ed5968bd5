"""Faults on demand: which calls fail, and how.

`KINDS` has every kind. `…_before_effect` and plain `http_…` fail before the call has its effect, `…_after_effect` after
it: the object is made, and the caller does not learn of it. A plain 429 has the header `Stripe-Rate-Limited-Reason`
(https://docs.stripe.com/rate-limits).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from threading import Lock
from typing import Any

from stripe_simulator.protocol import HttpResponse

KINDS = {
    "http_<status>": "an error response, for instance http_409, http_429, http_500 or http_503",
    "http_<status>_after_effect": "the same, after the effect",
    "http_429_lock_timeout": "the 429 of an object that another call holds: `code` is `lock_timeout`",
    "http_409_idempotency_key_in_use": "the 409 of a call whose key another call is using",
    "timeout_before_effect": "no response for `seconds`, then a reset connection",
    "timeout_after_effect": "the same, after the effect",
    "cut_before_effect": "a connection that is reset at once, without a response",
    "cut_after_effect": "the same, after the effect",
    "truncated_after_effect": "a response that ends in the middle of its body, after the effect",
    "not_json_after_effect": "a 200 whose body is the page of a proxy, after the effect",
    "delay": "the right response, `seconds` late; the effect is as late",
}
"""Every kind of fault, and what the caller meets."""

_KIND = re.compile(
    r"http_(?P<status>\d{3})(?P<code>_lock_timeout|_idempotency_key_in_use)?(?P<after>_after_effect)?"
    r"|(?P<way>timeout|cut)_(?P<moment>before|after)_effect|(?P<damage>truncated|not_json)_after_effect|delay"
)
_MESSAGES = {
    400: "The request could not be understood.",
    401: "Invalid API Key provided: sk_test_****",
    409: "The request conflicted with another request. Please retry.",
    429: "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
    500: "An unknown error occurred.",
    503: "Stripe is temporarily unavailable.",
}


@dataclass
class Fault:
    """One rule: which calls fail, and how.

    It matches calls by `method` and `path` (`*` as wildcard). Of those it picks the `nth` (one number or several,
    counted from 1), or a seeded `share` of them, or every one; at most `limit` in all. `message`, `code` and `headers`
    replace those of an `http_…` response. `seen` counts the calls that matched, `used` those that failed.
    """

    kind: str
    path: str = "*"
    method: str | None = None
    nth: int | list[int] | None = None
    share: float | None = None
    seed: int = 0
    limit: int | None = None
    seconds: float = 1.0
    message: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    seen: int = 0
    used: int = 0

    def __post_init__(self) -> None:
        match = _KIND.fullmatch(self.kind)
        if match is None:
            raise ValueError(f"The simulator has no fault {self.kind}; it has {', '.join(KINDS)}")
        self.status = int(match["status"]) if match["status"] else None
        self.is_delay = self.kind == "delay"
        self.is_after_effect = self.kind.endswith("_after_effect")
        self.code = self.code or (match["code"] or "").lstrip("_") or None
        self._way = match["way"] or match["damage"]
        self._random = Random(self.seed)  # noqa: S311  # a seed makes a test repeatable

    def strikes(self, method: str, path: str) -> bool:
        """Count a call and say whether the rule picks it."""
        if self.method not in (None, method) or not fnmatchcase(path, self.path):
            return False
        if self.limit is not None and self.used >= self.limit:
            return False
        self.seen += 1
        if self.nth is not None:
            picked = self.seen in self.nth if isinstance(self.nth, list) else self.seen == self.nth
        else:
            picked = self.share is None or self._random.random() < self.share
        self.used += picked
        return picked

    @property
    def saved_status(self) -> int | None:
        """Return the status that Stripe would save for the idempotency key: that of a 5xx, else None."""
        return self.status if self.status is not None and self.status >= 500 else None

    def error_body(self) -> bytes:
        """Return the body of an `http_…` fault."""
        status, code = self.status or 500, self._error_code()
        error_type = "api_error" if status >= 500 else "invalid_request_error"
        if code == "idempotency_key_in_use":
            error_type = "idempotency_error"
        error = {"type": error_type, "message": self.message or _MESSAGES.get(status, f"Error {status}")}
        if code is not None:
            error["code"] = code
        return json.dumps({"error": error}).encode()

    def _error_code(self) -> str | None:
        return "rate_limit" if self.status == 429 and self.code is None else self.code

    def response(self, headers: dict[str, str], performed: HttpResponse | None) -> HttpResponse:
        """Return what the caller gets in place of the response that the call `performed` (None: it did not run)."""
        if self._way == "not_json":
            return HttpResponse(200, b"<html>proxy</html>", headers | {"Content-Type": "text/html"})
        if self._way == "truncated" and performed is not None:
            return HttpResponse(performed.status, performed.body, performed.headers, truncated=True)
        if self._way is not None:
            return HttpResponse(cut=True, delay_seconds=self.seconds if self._way == "timeout" else 0)
        if self._error_code() == "rate_limit" and self.code is None:
            headers = headers | {"Stripe-Rate-Limited-Reason": "endpoint-rate"}
        return HttpResponse(self.status or 500, self.error_body(), headers | self.headers)


class Faults:
    """The rules in force, in the order they were added; the first that picks a call decides.

    Every rule counts every call it matches, whether or not another one picked it first.
    """

    def __init__(self) -> None:
        self.rules: list[Fault] = []
        self._lock = Lock()

    def add(self, kind: str, path: str = "*", **options: Any) -> Fault:
        """Add a rule; the options are the fields of `Fault`. Its `seen` and `used` tell later what it met.

        Raises:
            ValueError: there is no such kind of fault.
        """
        rule = Fault(kind, path, **options)
        with self._lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Remove every rule."""
        with self._lock:
            self.rules.clear()

    def pick(self, method: str, path: str) -> Fault | None:
        """Count a call with every rule and return the one that strikes it, if any."""
        if not self.rules:
            return None
        with self._lock:
            striking = [rule for rule in self.rules if rule.strikes(method, path)]
        for rule in striking[1:]:
            rule.used -= 1
        return striking[0] if striking else None
