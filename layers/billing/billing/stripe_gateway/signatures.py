"""The signatures of webhook deliveries."""

from __future__ import annotations

from collections.abc import Sequence

import stripe

from billing.errors import NotAStripeDeliveryError

SIGNATURE_TOLERANCE_SECONDS = 300


def verify_signature(body: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Say whether any of the secrets signed these bytes within the past five minutes.

    Raises:
        NotAStripeDeliveryError: no secret could have: the header is missing, or the body is not UTF-8.
    Source: https://docs.stripe.com/webhooks#verify-manually
    """
    if not header:
        raise NotAStripeDeliveryError("The Stripe-Signature header is missing")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise NotAStripeDeliveryError("The body is not UTF-8") from None
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(text, header, secret, SIGNATURE_TOLERANCE_SECONDS)
        except (stripe.SignatureVerificationError, TypeError, ValueError):
            # TypeError: a signature that is not ASCII cannot be compared.
            continue
        return True
    return False
