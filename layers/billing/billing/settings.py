"""The settings, each read from its environment variable at first use, never at import."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from billing.errors import ConfigurationError

MeterEventTransport = Literal["single", "stream"]

# A secret that was rotated is looked for at once, but a flood of bad signatures asks Secrets Manager no more
# often than this.
SECRET_REFRESH_SECONDS = 60
SECRET_MAX_AGE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class StripeSecrets:
    """Hold Stripe's API key and the signing secrets of all webhook destinations. Never log it."""

    api_key: str
    webhook_secrets: tuple[str, ...]

    def __repr__(self) -> str:
        """Show how many secrets there are, and none of them."""
        return f"StripeSecrets(api_key=…, webhook_secrets=<{len(self.webhook_secrets)}>)"


def table_name(variable: str) -> str:
    """Return the table's name from the environment, else its logical id (`USAGE_TABLE`: `UsageTable`)."""
    return os.environ.get(variable) or "".join(word.capitalize() for word in variable.split("_"))


def stripe_api_base() -> str:
    """Return where Stripe's API is reached; empty for Stripe itself."""
    return os.environ.get("STRIPE_API_BASE", "")


def stripe_meter_events_base() -> str:
    """Return where Stripe's meter event stream is reached; empty for Stripe itself."""
    return os.environ.get("STRIPE_METER_EVENTS_BASE", "")


def metering_queue_url() -> str:
    """Return the queue that shards are handed to; empty when the scheduled function does them all itself."""
    return os.environ.get("METERING_QUEUE_URL", "")


def reconciliation_queue_url() -> str:
    """Return the queue that comparisons are handed to; empty when nothing listens (local runs)."""
    return os.environ.get("RECONCILIATION_QUEUE_URL", "")


def allowed_price_ids() -> frozenset[str]:
    """Return the Stripe prices that a checkout may be opened for: `ALLOWED_PRICE_IDS`, separated by commas.

    Raises:
        ConfigurationError: the variable is empty, so no checkout could ever be opened.
    """
    return _listed("ALLOWED_PRICE_IDS", "the Stripe prices that may be subscribed to, separated by commas")


def allowed_redirect_hosts() -> frozenset[str]:
    """Return the hosts (`app.example.com`, `localhost:3000`) that Stripe may send a buyer to: `ALLOWED_REDIRECT_HOSTS`.

    Raises:
        ConfigurationError: the variable is empty, so no checkout could ever be opened.
    """
    text = "the hosts that Stripe may send a buyer back to, separated by commas"
    return frozenset(host.lower() for host in _listed("ALLOWED_REDIRECT_HOSTS", text))


def jwt_organization_claim() -> str:
    """Return the token's claim that names the caller's organisation; empty where callers sign with AWS credentials."""
    return os.environ.get("JWT_ORGANIZATION_CLAIM", "")


def runs_under_sam_local() -> bool:
    """Say whether this is `sam local`, which authorises nobody and says so in `AWS_SAM_LOCAL`."""
    return os.environ.get("AWS_SAM_LOCAL") == "true"


def _listed(variable: str, meaning: str) -> frozenset[str]:
    values = frozenset(_split(os.environ.get(variable, "")))
    if not values:
        raise ConfigurationError(f"{variable} is empty; set it to {meaning}")
    return values


def positive_number(variable: str, default: float) -> float:
    """Return a number above zero from the environment.

    Raises:
        ConfigurationError: the variable holds something else.
    """
    text = os.environ.get(variable) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ConfigurationError(f"{variable} is {text!r}; set it to a number above zero, or leave it empty")
    return number


def meter_event_transport(api_key: str) -> MeterEventTransport:
    """Choose how meter events are sent: `METER_EVENT_TRANSPORT`, where `auto` is `stream` for live keys only.

    Raises:
        ConfigurationError: the variable is none of auto, single, stream.
    """
    choice = os.environ.get("METER_EVENT_TRANSPORT") or "auto"
    if choice == "auto":
        # Stripe's pages contradict each other on whether a sandbox may use the stream; v1 works in both.
        return "stream" if api_key.startswith(("sk_live_", "rk_live_")) else "single"
    if choice not in ("single", "stream"):
        raise ConfigurationError(f"METER_EVENT_TRANSPORT is {choice!r}; set it to auto, single or stream")
    return cast(MeterEventTransport, choice)


def meter_events_per_second(api_key: str, transport: MeterEventTransport) -> float:
    """Return how many meter events this function may send a second.

    `METER_EVENTS_PER_SECOND`, else Stripe's limit less a reserve for other callers; divided by `METERING_WORKERS`.
    Source: https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#rate-limits

    Raises:
        ConfigurationError: a variable is no number above zero.
    """
    if transport == "stream":
        stripe_limit = 10_000
    elif api_key.startswith(("sk_live_", "rk_live_")):
        stripe_limit = 1_000
    else:
        stripe_limit = 25
    per_second = positive_number("METER_EVENTS_PER_SECOND", 0.8 * stripe_limit)
    return per_second / positive_number("METERING_WORKERS", 1)


def reconciliation_calls_per_second(api_key: str) -> float:
    """Return how many summaries one comparison may ask Stripe for in a second.

    `RECONCILIATION_CALLS_PER_SECOND`, else a fifth of Stripe's limit: two comparisons run at once, and webhooks and
    the product's own calls need the rest. Source: https://docs.stripe.com/rate-limits

    Raises:
        ConfigurationError: the variable is no number above zero.
    """
    stripe_limit = 100 if api_key.startswith(("sk_live_", "rk_live_")) else 25
    return positive_number("RECONCILIATION_CALLS_PER_SECOND", stripe_limit / 5)


class SecretsReader:
    """Read Stripe's secrets: from the environment for local runs, else from Secrets Manager, cached for an hour."""

    def __init__(self) -> None:
        self._secrets: StripeSecrets | None = None
        self._fetched_at = 0.0

    def current(self) -> StripeSecrets:
        """Return the secrets.

        Raises:
            ConfigurationError: neither the environment nor the secret has them; the message names the variable.
        """
        if self._secrets is None or time.monotonic() - self._fetched_at > SECRET_MAX_AGE_SECONDS:
            self._secrets, self._fetched_at = _read_secrets(), time.monotonic()
        return self._secrets

    def refreshed(self) -> StripeSecrets | None:
        """Fetch the secrets again and return them, or None where they were fetched a moment ago."""
        if time.monotonic() - self._fetched_at < SECRET_REFRESH_SECONDS:
            return None
        self._secrets = None
        return self.current()


@cache
def secrets_reader() -> SecretsReader:
    """Return the process's only reader of secrets."""
    return SecretsReader()


def _read_secrets() -> StripeSecrets:
    api_key = os.environ.get("STRIPE_SECRET_KEY", "")
    webhook_secrets = os.environ.get("STRIPE_WEBHOOK_SECRETS", "")
    secret_arn = os.environ.get("STRIPE_SECRET_ARN", "")
    if secret_arn and not (api_key and webhook_secrets):
        stored = _fetch_secret(secret_arn)
        api_key = api_key or stored.api_key
        found = tuple(_split(webhook_secrets)) or stored.webhook_secrets
    else:
        found = tuple(_split(webhook_secrets))
    if not api_key:
        raise ConfigurationError(
            "There is no Stripe API key: set STRIPE_SECRET_ARN to a Secrets Manager secret with "
            '{"api_key": …, "webhook_secrets": […]}, or STRIPE_SECRET_KEY for a local run'
        )
    return StripeSecrets(api_key, found)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


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
