"""HTTP event in, HTTP answer out: Stripe's webhook."""

from __future__ import annotations

import json
import time
from typing import Any

from billing import clock, telemetry
from billing.errors import NotAStripeDeliveryError
from billing.stripe_gateway import stripe_gateway
from billing.telemetry import count, logger
from billing.webhooks.delivery import deliver
from billing.webhooks.events import genuine_event
from billing.webhooks.request import signed_body


def handler(event: Any, context: object) -> dict[str, Any]:
    """Answer a delivery: 200 with its outcome, 400 for what is not Stripe's, 500 where a redelivery can succeed."""
    started = time.perf_counter()
    received_at = clock.utc_now()
    fields: dict[str, Any] = {}
    try:
        stripe_event = genuine_event(*signed_body(event))
        fields = {"stripe_event_id": stripe_event.event_id, "stripe_event_type": stripe_event.event_type}
        delivered = deliver(stripe_event, stripe_gateway(), received_at)
        fields |= {"organization_id": delivered.organization_id, "outcome": delivered.outcome}
        count("stripe_events", dimension=delivered.outcome)
        answer = _answer(200, {"outcome": delivered.outcome})
    except NotAStripeDeliveryError as error:
        fields["outcome"] = "rejected"
        fields["reason"] = str(error)
        count("deliveries_rejected")
        answer = _answer(400, {"error": str(error)})
    except Exception as error:
        # Whatever it is, Stripe delivers again for three days: a deployed fix heals it.
        fields["outcome"] = "failed"
        count("deliveries_failed")
        logger.exception("A delivery failed", extra=fields | {"error_type": type(error).__name__})
        answer = _answer(500, {"error": "The event could not be processed now; deliver it again"})
    finally:
        telemetry.flush()
    duration_ms = round((time.perf_counter() - started) * 1000, 1)
    logger.info("Stripe event", extra={**fields, "duration_ms": duration_ms})
    return answer


def _answer(status: int, body: dict[str, str]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
