"""The HTTP request: from an API Gateway event (payload format 2.0) to a genuine event of Stripe's."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from billing.errors import NotAStripeDeliveryError
from billing.stripe_gateway.signatures import verify_signature
from billing.stripe_secrets import secrets_reader
from billing.webhooks.events import StripeEvent, read_event


def signed_body(http_event: Any) -> tuple[bytes, str | None]:
    """Return the raw body and the `Stripe-Signature` header of a request.

    Raises:
        NotAStripeDeliveryError: there is no body, or it is not the base64 that API Gateway says it is.
    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    if not isinstance(http_event, Mapping):
        raise NotAStripeDeliveryError("The request is not an API Gateway event")
    body = http_event.get("body")
    if not isinstance(body, str) or not body:
        raise NotAStripeDeliveryError("The request has no body")
    try:
        raw = base64.b64decode(body, validate=True) if http_event.get("isBase64Encoded") else body.encode("utf-8")
    except (binascii.Error, ValueError):
        raise NotAStripeDeliveryError("The body is not what its encoding says") from None
    return raw, _header(http_event.get("headers"), "stripe-signature")


def genuine_event(body: bytes, signature_header: str | None) -> StripeEvent:
    """Return the event, if Stripe signed it and it is one.

    Raises:
        NotAStripeDeliveryError: the signature is missing, wrong or old, or what is signed is not an event.
        ConfigurationError: there are no signing secrets to check with.
    """
    secrets = secrets_reader()
    if not verify_signature(body, signature_header, secrets.current().webhook_secrets):
        # A rotation in progress: the newest secret may not be in the cache yet.
        refreshed = secrets.refreshed()
        if refreshed is None or not verify_signature(body, signature_header, refreshed.webhook_secrets):
            raise NotAStripeDeliveryError("No signature of this body matches a signing secret, or it is too old")
    try:
        return read_event(json.loads(body))
    except (ValueError, RecursionError):
        raise NotAStripeDeliveryError("The body is not JSON") from None


def _header(headers: Any, name: str) -> str | None:
    if not isinstance(headers, Mapping):
        return None
    for key, value in headers.items():
        if isinstance(key, str) and key.lower() == name and isinstance(value, str):
            return value
    return None
