"""API Gateway in front of the billing API, on this machine: events of payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import importlib
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

REQUESTS = itertools.count(1)
"""The requests' numbers."""
SIGNED = {"iam": {"userArn": "arn:aws:iam::123456789012:role/product", "accountId": "123456789012"}}
"""What API Gateway adds to a request that was signed with AWS credentials."""


def with_claims(**claims: str) -> dict[str, Any]:
    """Return what API Gateway adds to a request with a token."""
    return {"jwt": {"claims": claims, "scopes": None}}


def webhook_request(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the API Gateway event of a request to the webhook."""
    return {
        "version": "2.0",
        "routeKey": "POST /stripe/webhook",
        "rawPath": "/stripe/webhook",
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {"http": {"method": "POST", "path": "/stripe/webhook"}},
        "body": body.decode(),
        "isBase64Encoded": False,
    }


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response; `body` is parsed."""

    status: int
    body: Any
    headers: Mapping[str, str]


class HttpApi:
    """The billing API without a network: called from Python (`call`) or as an ASGI application."""

    def __init__(self, authorizer: Mapping[str, Any] = SIGNED) -> None:
        self.authorizer = authorizer
        self._handler = importlib.import_module("functions.billing_api.app").handler

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        authorizer: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        """Make one request; a body that is no text is sent as JSON."""
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        sent_headers = {
            "content-type": "application/json",
            **{name.lower(): value for name, value in (headers or {}).items()},
        }
        event = self.event(method, path, text, dict(query or {}), sent_headers, authorizer)
        response = self._handler(event, None)
        return HttpResponse(response["statusCode"], json.loads(response["body"]), response["headers"])

    def respond(
        self, method: str, path: str, query_string: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, Any]:
        """Respond to a request as it came: decoded path, repeated query parameters joined, body in base64."""
        query: dict[str, str] = {}
        for name, value in parse_qsl(query_string, keep_blank_values=True):
            query[name] = f"{query[name]},{value}" if name in query else value
        event = self.event(method, unquote(path), None, query, headers)
        event["rawQueryString"] = query_string
        if body:
            event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        response: dict[str, Any] = self._handler(event, None)
        return response

    def event(
        self,
        method: str,
        path: str,
        body: str | None,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        authorizer: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the event of a request as the function receives it."""
        segments = path.split("/")
        return {
            "version": "2.0",
            "routeKey": f"{method} {path}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": dict(headers),
            "queryStringParameters": dict(query),
            "pathParameters": {"organization_id": segments[2] if len(segments) > 2 else ""},
            "requestContext": {
                "authorizer": self.authorizer if authorizer is None else authorizer,
                "http": {"method": method, "path": path},
                "requestId": f"local-{next(REQUESTS)}",
                "stage": "$default",
            },
            "body": body,
            "isBase64Encoded": False,
        }

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Respond to an ASGI request."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        response = self.respond(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, body)
        response_headers = [(name.encode(), str(value).encode()) for name, value in response["headers"].items()]
        await send({"type": "http.response.start", "status": response["statusCode"], "headers": response_headers})
        await send({"type": "http.response.body", "body": response["body"].encode()})
