"""Faults on demand: which calls fail, and how.

A rule's `kind` is one of
- `http_409`, `http_429`, `http_500`, `http_503`, … any status; with `_after_effect` the call has its effect first;
- `http_429_lock_timeout`, `http_409_idempotency_key_in_use`: the same status with that `code`;
- `timeout_before_effect`, `timeout_after_effect`: hold the answer for `seconds`, then close without one;
- `cut_before_effect`, `cut_after_effect`: reset the connection at once, without an answer;
- `not_json_after_effect`: a 200 whose body is a page of a proxy;
- `delay`: answer normally, `seconds` late.

A plain 429 has the header `Stripe-Rate-Limited-Reason` (https://docs.stripe.com/rate-limits).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from threading import Lock
from typing import Any

_KIND = re.compile(
    r"http_(?P<status>\d{3})(?P<code>_lock_timeout|_idempotency_key_in_use)?(?P<after>_after_effect)?"
    r"|(?P<way>timeout|cut)_(?P<moment>before|after)_effect|not_json_after_effect|delay"
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
    """One rule. It matches calls by method and path (`*` as wildcard) and picks some of them:

    the `nth` matching call (or calls, counted from 1), a seeded `share` of them, or, without either, every one;
    at most `limit` times. `message`, `code`, `headers` replace those of an `http_…` answer.
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
            raise ValueError(f"The simulator has no fault {self.kind}")
        self.status = int(match["status"]) if match["status"] else None
        self.way = match["way"] or ("http" if self.status else self.kind)
        self.after_effect = bool(match["after"]) or match["moment"] == "after" or self.way == "not_json_after_effect"
        self.code = self.code or (match["code"] or "").lstrip("_") or None
        self._random = Random(self.seed)

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

    def error(self) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return the status, body and headers of an `http_…` fault."""
        status = self.status or 500
        code, headers = self.code, dict(self.headers)
        if status == 429 and code is None:
            code = "rate_limit"
            headers.setdefault("Stripe-Rate-Limited-Reason", "endpoint-rate")
        kinds = {409: "idempotency_error" if code == "idempotency_key_in_use" else "invalid_request_error"}
        kind = "api_error" if status >= 500 else kinds.get(status, "invalid_request_error")
        error: dict[str, Any] = {
            "type": kind,
            "message": self.message or _MESSAGES.get(status, f"Error {status}"),
        }
        if code is not None:
            error["code"] = code
        return status, {"error": error}, headers


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
            struck = [rule for rule in self.rules if rule.strikes(method, path)]
        for rule in struck[1:]:
            rule.used -= 1
        return struck[0] if struck else None
