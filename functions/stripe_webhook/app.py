"""HTTP event in, HTTP response out: Stripe's webhook."""

from __future__ import annotations

import json
import time
from typing import Any

from billing import telemetry
from billing.errors import NotAStripeDeliveryError
from billing.stripe_gateway.calls import stripe_gateway
from billing.telemetry import count, described, logger
from billing.webhooks.delivery import deliver
from billing.webhooks.request import genuine_event, signed_body


def handler(event: Any, context: object) -> dict[str, Any]:
    """Respond to a delivery: 200 with its outcome, 400 for what is not Stripe's, 500 where a redelivery can succeed."""
    started = time.perf_counter()
    fields: dict[str, Any] = {}
    try:
        stripe_event = genuine_event(*signed_body(event))
        fields = {"stripe_event_id": stripe_event.event_id, "stripe_event_type": stripe_event.event_type}
        delivered = deliver(stripe_event, stripe_gateway())
        log, status, body = logger.info, 200, {"outcome": str(delivered.outcome)}
        fields |= {"organization_id": delivered.organization_id, "outcome": delivered.outcome}
        count("stripe_events", dimension=delivered.outcome)
    except NotAStripeDeliveryError as error:
        log, status, body = logger.warning, 400, {"error": str(error)}
        fields |= {"outcome": "rejected", "reason": str(error)}
        count("deliveries_rejected")
    except Exception as error:
        # Whatever it is, Stripe delivers again for three days: a deployed fix heals it.
        log, status = logger.error, 500
        body = {"error": "The event could not be processed now; deliver it again"}
        fields |= {"outcome": "failed", **described(error)}
        count("deliveries_failed")
    fields["duration_ms"] = round((time.perf_counter() - started) * 1000, 1)
    log("Stripe event", extra=fields)
    telemetry.flush()
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
