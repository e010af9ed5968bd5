"""The body of a request, before any route sees it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from billing.api.problems import RefusedBodyError

WITHOUT_BODY = frozenset({"GET", "DELETE", "HEAD"})


def json_object(text: str) -> Any:
    """Read a body; Powertools would take a list for its first element."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise json.JSONDecodeError("The body must be a JSON object", text, 0)
    return value


def with_text_body(event: Any) -> Any:
    """Return the request with its body as text: API Gateway sends some bodies in base64.

    Raises:
        RefusedBodyError: it is no text, or not said to be JSON (Powertools would also read forms), or the operation
            would not look at it.
    """
    if not isinstance(event, Mapping) or not event.get("body"):
        return event
    method = str(event.get("routeKey")).partition(" ")[0]
    if method in WITHOUT_BODY:
        raise RefusedBodyError(HTTPStatus.BAD_REQUEST, f"{method} takes no body: send none")
    content_type = (event.get("headers") or {}).get("content-type", "application/json")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise RefusedBodyError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json")
    if not event.get("isBase64Encoded"):
        return event
    try:
        text = base64.b64decode(event["body"], validate=True).decode()
    except ValueError:
        raise RefusedBodyError(HTTPStatus.BAD_REQUEST, "The body is not what its encoding says") from None
    return {**event, "body": text, "isBase64Encoded": False}
