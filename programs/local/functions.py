"""The functions behind HTTP, in this process: what API Gateway and Lambda's Invoke do, as `sam local` has it.

    POST /stripe/webhook                                   StripeWebhookFunction
    POST /2015-03-31/functions/{name}/invocations          any function, with the body as its event
    everything else                                        BillingApiFunction

The second is the path of Lambda's own API, so `aws lambda invoke --endpoint-url` works too. Of a function one
invocation runs at a time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from programs.local.http_api import HttpApi, webhook_request
from programs.local.stack import Stack, TimeLimit

WEBHOOK_PATH = "/stripe/webhook"
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
INVOCATION = re.compile(r"/2015-03-31/functions/([\w-]+)/invocations")
JSON = {"Content-Type": "application/json"}

Handler = Callable[[Any, Any], Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the server."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


class LocalFunctions:
    """The functions, ready to be called over HTTP; `say` is told of each request in a line."""

    def __init__(self, stack: Stack, say: Say) -> None:
        self._say = say
        self._api = HttpApi()
        self._handlers: dict[str, Handler] = {
            "StripeWebhookFunction": stack.webhook_app.handler,
            "UsageIngestionFunction": stack.ingestion_app.handler,
            "UsageMeteringFunction": stack.metering_app.handler,
            "UsageMeteringWorkerFunction": stack.metering_app.worker,
            "UsageReconciliationFunction": stack.reconciliation_app.handler,
            "BillingEventsFunction": stack.events_app.handler,
            "BillingApiFunction": importlib.import_module("functions.billing_api.app").handler,
        }
        self._locks = {name: threading.Lock() for name in self._handlers}

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Respond to a request."""
        parts = urlsplit(target)
        invocation = INVOCATION.fullmatch(parts.path)
        if invocation:
            return self._invoke(invocation[1], body)
        if (method, parts.path) == ("POST", WEBHOOK_PATH):
            return self._webhook(headers, body)
        with self._locks["BillingApiFunction"]:
            response = self._api.respond(method, parts.path, parts.query, headers, body)
        self._say(f"{method} {parts.path} {response['statusCode']}")
        return Response(response["statusCode"], response["body"], response["headers"])

    def _webhook(self, headers: Mapping[str, str], body: bytes) -> Response:
        try:
            event = webhook_request(body, headers)
        except UnicodeDecodeError:
            event = webhook_request(b"", headers)
        with self._locks["StripeWebhookFunction"]:
            response = self._handlers["StripeWebhookFunction"](event, TimeLimit(28_000))
        said = json.loads(response["body"])
        self._say(
            f"POST {WEBHOOK_PATH} {response['statusCode']} {_event_type(body)}: {said.get('outcome') or said['error']}"
        )
        return Response(response["statusCode"], response["body"])

    def _invoke(self, name: str, body: bytes) -> Response:
        if name not in self._handlers:
            message = f"There is no function {name}; there are {', '.join(self._handlers)}"
            return Response(404, json.dumps({"Type": "User", "Message": message}))
        try:
            event = json.loads(body or b"{}")
        except ValueError as error:
            message = f"The event is not JSON: {error}"
            return Response(400, json.dumps({"Type": "User", "Message": message}))
        try:
            with self._locks[name]:
                result = self._handlers[name](event, TimeLimit())
        except Exception as error:
            # As Lambda has it: the invocation succeeded, and what the function raised is its answer.
            traceback.print_exc()
            self._say(f"{name} failed: {error}")
            text = json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
            return Response(200, f"{text}\n", {**JSON, "X-Amz-Function-Error": "Unhandled"})
        self._say(f"{name} ran")
        return Response(200, f"{json.dumps(result)}\n")


def _event_type(body: bytes) -> str:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(body)["type"])
    return "no event"


@contextlib.contextmanager
def serving(functions: LocalFunctions, port: int) -> Iterator[None]:
    """Serve the functions to this machine alone."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = functions.respond(self.command, self.path, headers, body)
            content = response.body.encode()
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = respond

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Requests)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(0.1), name="functions", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
