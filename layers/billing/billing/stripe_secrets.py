"""Stripe's secrets: of the environment, or of Secrets Manager; read at first use."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from billing.errors import ConfigurationError, NotSetUpError
from billing.settings import comma_separated
from billing.telemetry import described, logger

# A secret that was rotated is looked for at once, but a flood of bad signatures asks Secrets Manager no more
# often than this.
SECRET_REFRESH_SECONDS = 60
SECRET_MAX_AGE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class StripeSecrets:
    """Stripe's API key and the signing secrets of all webhook destinations. Never log it."""

    api_key: str
    webhook_secrets: tuple[str, ...]

    def __repr__(self) -> str:
        """Show how many secrets there are, and none of them."""
        return f"StripeSecrets(api_key=…, webhook_secrets=<{len(self.webhook_secrets)}>)"


class SecretsReader:
    """Stripe's secrets, cached for an hour; those of the environment for local runs, else of Secrets Manager."""

    def __init__(self, read: Callable[[], StripeSecrets] | None = None) -> None:
        self._read = read or _read_secrets
        self._secrets: StripeSecrets | None = None
        self._fetched_at = 0.0
        self._tried_at = 0.0

    def current(self) -> StripeSecrets:
        """Return the secrets.

        Raises:
            ConfigurationError: neither the environment nor the secret has them; the message names the variable.
        """
        if self._secrets is None:
            self._secrets = self._read()
            self._fetched_at = self._tried_at = time.monotonic()
        elif time.monotonic() - self._fetched_at > SECRET_MAX_AGE_SECONDS:
            self.refreshed()
        return self._secrets

    def refreshed(self) -> StripeSecrets | None:
        """Fetch the secrets again and return them; None where that was tried a moment ago, or fails now.

        What is known stays in use until there is something newer: an outage of Secrets Manager stops nothing.
        """
        if time.monotonic() - self._tried_at < SECRET_REFRESH_SECONDS:
            return None
        self._tried_at = time.monotonic()
        try:
            self._secrets, self._fetched_at = self._read(), time.monotonic()
        except ConfigurationError as error:
            logger.error(
                "Stripe's secrets could not be read anew; those from before stay in use", extra=described(error)
            )
            return None
        return self._secrets


@cache
def secrets_reader() -> SecretsReader:
    """Return the process's only reader of secrets."""
    return SecretsReader()


def is_set_up() -> bool:
    """Say whether anybody has filled the stack's secret, and log where nobody has.

    What else is wrong with the secret is for whoever needs it to tell.
    """
    try:
        secrets_reader().current()
    except NotSetUpError as error:
        logger.warning("Not set up yet", extra=described(error))
        return False
    except ConfigurationError:
        return True
    return True


def _read_secrets() -> StripeSecrets:
    api_key = os.environ.get("STRIPE_SECRET_KEY", "")
    signing_secrets = tuple(comma_separated(os.environ.get("STRIPE_WEBHOOK_SECRETS", "")))
    secret_arn = os.environ.get("STRIPE_SECRET_ARN", "")
    if secret_arn and not (api_key and signing_secrets):
        stored = _fetch_secret(secret_arn)
        if not (api_key or stored.api_key or stored.webhook_secrets):
            raise NotSetUpError(f"The secret {secret_arn} is still empty: put Stripe's key into it (docs/deploy.md)")
        api_key = api_key or stored.api_key
        signing_secrets = signing_secrets or stored.webhook_secrets
    if not api_key:
        raise ConfigurationError(
            "There is no Stripe API key: set STRIPE_SECRET_ARN to a Secrets Manager secret with "
            '{"api_key": …, "webhook_secrets": […]}, or STRIPE_SECRET_KEY for a local run'
        )
    return StripeSecrets(api_key, signing_secrets)


def _fetch_secret(secret_arn: str) -> StripeSecrets:
    # Imported here: a local run with both variables set needs no AWS client for it.
    from aws_lambda_powertools.utilities import parameters

    try:
        text = parameters.get_secret(secret_arn, force_fetch=True)
    except parameters.exceptions.GetParameterError as error:
        raise ConfigurationError(
            f"The secret that STRIPE_SECRET_ARN names cannot be read ({secret_arn}): check that it exists and that "
            "the function's role may read it"
        ) from error
    try:
        stored = json.loads(text)
        api_key, webhook_secrets = stored["api_key"], stored["webhook_secrets"]
        if not isinstance(api_key, str) or not all(isinstance(secret, str) for secret in webhook_secrets):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        # `from None`: the cause would carry the secret's text into a log.
        raise ConfigurationError(
            'The secret that STRIPE_SECRET_ARN names is not of the form {"api_key": "…", "webhook_secrets": ["…", …]}'
        ) from None
    return StripeSecrets(api_key.strip(), tuple(secret.strip() for secret in webhook_secrets if secret.strip()))
