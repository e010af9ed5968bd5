"""Print the HttpApi event of a Stripe delivery that is signed now: an event that was saved signed is soon too old.

python -m programs.local.webhook_event events/stripe/invoice_paid.json | sam local invoke … --event -
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from pathlib import Path
from typing import Any

from programs.local.servers import event_body, secret_of
from stripe_simulator import sign


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


def main() -> None:
    """Sign a Stripe event file and print the HttpApi event."""
    parser = argparse.ArgumentParser(prog="python -m programs.local.webhook_event", description=main.__doc__)
    parser.add_argument("event", type=Path, help="events/stripe/….json")
    parser.add_argument("--secret", help="another signing secret, for instance a wrong one")
    arguments = parser.parse_args()
    body = event_body(arguments.event, int(time.time()))
    print(json.dumps(http_event(body, sign(body, arguments.secret or secret_of(body)))))


if __name__ == "__main__":
    main()
