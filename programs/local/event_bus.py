"""An EventBridge bus on this machine: it takes what PutEvents puts, and tells whoever listens.

It speaks AWS's JSON protocol, so that the functions' own client talks to it: `AWS_ENDPOINT_URL_EVENTBRIDGE`.
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Listener = Callable[[dict[str, Any]], None]


@dataclass
class LocalBus:
    """The events that were put, as a rule's target gets them; each goes to the listeners at once."""

    port: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """Return the address for `AWS_ENDPOINT_URL_EVENTBRIDGE`."""
        return f"http://127.0.0.1:{self.port}"

    def take(self, entry: dict[str, Any]) -> str:
        """Take an entry; return its id."""
        event_id = f"{len(self.events):08d}"
        event = {
            "version": "0",
            "id": event_id,
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "time": entry.get("Time"),
            "resources": [],
            "detail": json.loads(entry["Detail"]),
        }
        self.events.append(event)
        for listener in self.listeners:
            listener(event)
        return event_id


@contextmanager
def running_bus(host: str = "127.0.0.1", port: int = 0) -> Iterator[LocalBus]:
    """Serve a bus for the length of a `with` block."""
    bus = LocalBus()

    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["X-Amz-Target"] != "AWSEvents.PutEvents":
                self._respond(400, {"__type": "UnknownOperationException"})
                return
            entries = [{"EventId": bus.take(entry)} for entry in body["Entries"]]
            self._respond(200, {"FailedEntryCount": 0, "Entries": entries})

        def _respond(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, port), Requests)
    bus.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield bus
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
