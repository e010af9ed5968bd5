"""A client of the control API, for a simulator that runs in another process."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen


class SimulatorError(Exception):
    """The refusal of a control request; the message is the simulator's."""


class SimulatorClient:
    """A simulator at a base URL such as `http://127.0.0.1:12111`. Moments are Unix seconds."""

    def __init__(self, base_url: str, *, timeout_seconds: float = 30) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds

    def _call(self, method: str, name: str, body: dict[str, Any] | None = None) -> Any:
        url = f"{self.base_url}/_simulator/{name}"
        data = None
        if method == "GET" and body:
            url += f"?{urlencode(body)}"
        elif body is not None:
            data = json.dumps(body).encode()
        request = Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310  # likewise
        try:
            with urlopen(request, timeout=self._timeout_seconds) as response:  # noqa: S310  # http, as the caller says
                return json.load(response)
        except HTTPError as exc:
            raise SimulatorError(json.load(exc)["error"]["message"]) from exc

    def wait_until_ready(self, seconds: float = 10) -> None:
        """Wait until the simulator responds.

        Raises:
            TimeoutError: it did not within that time.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.now()
                return
            except (URLError, ConnectionError) as exc:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"No simulator responds at {self.base_url}") from exc
                time.sleep(0.05)

    def state(self) -> dict[str, Any]:
        """Return all objects, the settings, and the counters of the requests."""
        return dict(self._call("GET", "state"))

    def reset(self) -> None:
        """Empty the simulator."""
        self._call("POST", "reset", {})

    def now(self) -> float:
        """Return the simulator's time."""
        return float(self._call("GET", "clock")["now"])

    def set_clock(self, moment: float) -> None:
        """Stop the clock at a moment."""
        self._call("POST", "clock", {"set": moment})

    def advance_clock(self, seconds: float) -> None:
        """Move the clock."""
        self._call("POST", "clock", {"advance": seconds})

    def run_clock(self) -> None:
        """Let a stopped clock run on with real time."""
        self._call("POST", "clock", {"run": True})

    def change_settings(self, **changes: Any) -> None:
        """Change fields of `Settings`, or `calls_per_second`."""
        self._call("POST", "settings", changes)

    def add_fault(self, kind: str, path: str = "*", **options: Any) -> None:
        """Add a fault rule; the options are the fields of `Fault`."""
        self._call("POST", "faults", {"kind": kind, "path": path, **options})

    def faults(self) -> list[dict[str, Any]]:
        """Return every fault rule, with how many calls it matched (`seen`) and let fail (`used`)."""
        return list(self._call("GET", "faults"))

    def clear_faults(self) -> None:
        """Remove every fault rule."""
        self._call("DELETE", "faults")

    def requests(self, route: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """Return the latest requests, oldest first, of a route such as `POST /v1/billing/meter_events` or of all."""
        return list(self._call("GET", "requests", {"limit": limit} | ({"route": route} if route else {})))

    def billed(self, customer_id: str, event_name: str, start: float, end: float) -> int:
        """Return the quantity an invoice bills for a period; see `Account.billed`."""
        query = {"customer": customer_id, "event_name": event_name, "start": start, "end": end}
        return int(self._call("GET", "billed", query)["quantity"])

    def hourly(self, customer_id: str, event_name: str) -> dict[int, int]:
        """Return `{start of the hour: value}`; see `Account.hourly`."""
        hours = self._call("GET", "hourly", {"customer": customer_id, "event_name": event_name})
        return {int(hour): int(value) for hour, value in hours.items()}

    def complete_checkout_session(self, session_id: str, **changes: Any) -> dict[str, Any]:
        """Pay a checkout session as its buyer."""
        return dict(self._call("POST", "complete-checkout", {"session_id": session_id, **changes}))

    def add_destination(self, url: str, payload: str = "snapshot", **options: Any) -> dict[str, str]:
        """Register a destination; return its `id`, `url` and `secret`."""
        return dict(self._call("POST", "destinations", {"url": url, "payload": payload, **options}))

    def start_automatic_webhooks(self, speed: float = 1) -> None:
        """Deliver in the background from now on, with retries."""
        self._call("POST", "webhooks", {"mode": "automatic", "speed": speed})

    def start_manual_webhooks(self) -> None:
        """Let deliveries wait until they are taken."""
        self._call("POST", "webhooks", {"mode": "manual"})

    def deliveries(self) -> list[dict[str, Any]]:
        """Return every delivery with its attempts."""
        return list(self._call("GET", "deliveries"))

    def take_deliveries(self, event_type: str | None = None) -> list[dict[str, Any]]:
        """Take the waiting deliveries, each with `body` (text) and signed `headers`."""
        return list(self._call("POST", "take-deliveries", {"event_type": event_type}))

    def deliver(self, delivery_id: str, url: str | None = None) -> dict[str, Any]:
        """Have the simulator post a delivery once, now; return it with its attempts."""
        return dict(self._call("POST", "deliver", {"id": delivery_id, "url": url}))

    def tamper(self, what: str, **arguments: Any) -> Any:
        """Do what no call of Stripe's API does, with the arguments of the method of that name.

        `lose_hour`, `double_hour`, `set_status`, `delete_customer`, `set_payment_outcome`, `expire_sessions`,
        `error_report`, `resend`, `rotate_secret`.
        """
        return self._call("POST", "tamper", {"what": what, **arguments})["result"]
