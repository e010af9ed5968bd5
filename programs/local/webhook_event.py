"""The HttpApi event of a Stripe delivery, as the built function gets it."""

from __future__ import annotations

import base64
from typing import Any


def http_event(body: bytes, signature: str, *, base64_encoded: bool = False) -> dict[str, Any]:
    """Return what API Gateway hands to the function (payload format 2.0).

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    return {
        "version": "2.0",
        "routeKey": "POST /stripe/webhook",
        "rawPath": "/stripe/webhook",
        "rawQueryString": "",
        "headers": {"content-type": "application/json; charset=utf-8", "stripe-signature": signature},
        "requestContext": {
            "http": {"method": "POST", "path": "/stripe/webhook", "sourceIp": "127.0.0.1"},
            "routeKey": "POST /stripe/webhook",
            "stage": "$default",
        },
        "body": base64.b64encode(body).decode() if base64_encoded else body.decode(),
        "isBase64Encoded": base64_encoded,
    }
