"""HTTP request in, HTTP response out: the billing API (docs/api.md)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from billing.api.routes import respond
from billing.telemetry import count, flush, logger


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Respond to a request of the billing API; whatever goes wrong becomes a problem, never an exception."""
    started = time.perf_counter()
    with logger.append_context_keys(request_id=_request_id(event)):
        response = respond(event, context)
        status = response["statusCode"]
        if status >= HTTPStatus.BAD_REQUEST:
            count("api_errors", dimension=str(status))
        flush()
        fields = {"status": status, "duration_ms": round((time.perf_counter() - started) * 1000, 1)}
        logger.info("API request", extra=_route(event) | fields)
    return response


def _request_id(event: Any) -> str | None:
    """Return API Gateway's id of the request, which its access log has too."""
    context = event.get("requestContext") if isinstance(event, Mapping) else None
    return context.get("requestId") if isinstance(context, Mapping) else None


def _route(event: Any) -> dict[str, Any]:
    if not isinstance(event, Mapping):
        return {}
    parameters = event.get("pathParameters")
    organization_id = parameters.get("organization_id") if isinstance(parameters, Mapping) else None
    return {"route": event.get("routeKey"), "organization_id": organization_id}
