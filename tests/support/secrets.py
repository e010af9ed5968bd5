"""Secrets that no environment names."""

from __future__ import annotations

from billing.stripe_secrets import SecretsReader, StripeSecrets


def fixed_secrets(api_key: str) -> SecretsReader:
    """Return a reader of one API key."""
    return SecretsReader(lambda: StripeSecrets(api_key, ()))
