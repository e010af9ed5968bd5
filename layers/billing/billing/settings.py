"""The settings, each read from its environment variable at first use, never at import."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import Literal, cast

from billing.errors import ConfigurationError

LONGEST_GRACE_DAYS = 365
MeterEventTransport = Literal["single", "stream"]


def table_name(variable: str) -> str:
    """Return the table's name from the environment, else its logical id (`USAGE_TABLE`: `UsageTable`)."""
    return os.environ.get(variable) or _logical_id(variable)


@cache  # a batch of usage events asks for it thousands of times
def _logical_id(variable: str) -> str:
    return "".join(word.capitalize() for word in variable.split("_"))


def stripe_api_base() -> str:
    """Return where Stripe's API is reached; empty for Stripe itself."""
    return os.environ.get("STRIPE_API_BASE", "")


def stripe_meter_events_base() -> str:
    """Return where Stripe's meter event stream is reached; empty for Stripe itself."""
    return os.environ.get("STRIPE_METER_EVENTS_BASE", "")


def metering_queue_url() -> str:
    """Return the queue of shards; empty when the scheduled function processes them all itself."""
    return os.environ.get("METERING_QUEUE_URL", "")


def metering_function() -> str:
    """Return the function that is asked for a run between the scheduled ones; empty when there is none (local runs)."""
    return os.environ.get("METERING_FUNCTION", "")


def reconciliation_queue_url() -> str:
    """Return the queue of comparisons; empty when nothing listens (local runs)."""
    return os.environ.get("RECONCILIATION_QUEUE_URL", "")


def usage_dead_letter_queue_url() -> str:
    """Return the queue that takes the usage events which will never be counted as they are.

    Raises:
        ConfigurationError: the variable is empty, so such an event would have no place to go.
    """
    url = os.environ.get("USAGE_DEAD_LETTER_QUEUE_URL", "")
    if not url:
        raise ConfigurationError("USAGE_DEAD_LETTER_QUEUE_URL is empty; set it to the URL of UsageDeadLetterQueue")
    return url


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


def checkout_options() -> str:
    """Return what every checkout offers, as `CHECKOUT_OPTIONS` has it: `name` or `name:value`, separated by commas."""
    return os.environ.get("CHECKOUT_OPTIONS", "")


def jwt_organization_claim() -> str:
    """Return the token's claim that names the caller's organisation; empty where callers sign with AWS credentials."""
    return os.environ.get("JWT_ORGANIZATION_CLAIM", "")


def relinks_by_reference() -> bool:
    """Say whether a buyer's `client_reference_id` may give an organisation without living subscription a new customer.

    `RELINK_BY_REFERENCE`, off unless it is `true`: whoever opens a payment link chooses that reference.
    """
    return os.environ.get("RELINK_BY_REFERENCE", "") == "true"


def carries_late_usage() -> bool:
    """Say whether an open period carries what settled ones owe; else it is only told.

    `LATE_USAGE`: `carry`, unless it is `tell`.

    Raises:
        ConfigurationError: the variable is something else.
    """
    choice = os.environ.get("LATE_USAGE") or "carry"
    if choice not in ("carry", "tell"):
        raise ConfigurationError(f"LATE_USAGE is {choice!r}; set it to carry or tell")
    return choice == "carry"


def holds_active_sensors() -> bool:
    """Say whether a number of sensors holds until another is recorded, from one period into the next.

    `HOLD_ACTIVE_SENSORS`, off unless it is `true`.
    """
    return os.environ.get("HOLD_ACTIVE_SENSORS", "") == "true"


def grace_period() -> timedelta:
    """Return how long an organisation whose payment is overdue may go on: `GRACE_DAYS`, 7 where it is empty.

    Raises:
        ConfigurationError: the variable is no number of days.
    """
    text = os.environ.get("GRACE_DAYS") or "7"
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days <= LONGEST_GRACE_DAYS:
        raise ConfigurationError(f"GRACE_DAYS is {text!r}; set it to a number of days from 0 to {LONGEST_GRACE_DAYS}")
    return timedelta(days=days)


def event_bus_name() -> str:
    """Return the EventBridge bus on which the product hears of changes: `EVENT_BUS_NAME`, else the account's."""
    return os.environ.get("EVENT_BUS_NAME") or "default"


def stack_name() -> str:
    """Return what tells this stack's events from those of another on the same bus: `STACK_NAME`."""
    return os.environ.get("STACK_NAME", "")


def runs_under_sam_local() -> bool:
    """Say whether this is `sam local`, which authorises nobody and says so in `AWS_SAM_LOCAL`."""
    return os.environ.get("AWS_SAM_LOCAL") == "true"


def _listed(variable: str, meaning: str) -> frozenset[str]:
    values = frozenset(comma_separated(os.environ.get(variable, "")))
    if not values:
        raise ConfigurationError(f"{variable} is empty; set it to {meaning}")
    return values


def comma_separated(text: str) -> list[str]:
    """Return the values between the commas, without blanks and empty ones."""
    return [value.strip() for value in text.split(",") if value.strip()]


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


def key_livemode(api_key: str) -> bool | None:
    """Say whether a secret or restricted key is of live mode; None where it shows none. https://docs.stripe.com/keys."""
    modes = {"live": True, "test": False}
    return next((mode for word, mode in modes.items() if api_key.startswith((f"sk_{word}_", f"rk_{word}_"))), None)


def is_live_key(api_key: str) -> bool:
    """Say whether a key is known to be of live mode."""
    return key_livemode(api_key) is True


def meter_event_transport(api_key: str) -> MeterEventTransport:
    """Choose how meter events are sent: `METER_EVENT_TRANSPORT`, where `auto` is `stream` for live keys only.

    Raises:
        ConfigurationError: the variable is none of auto, single, stream.
    """
    choice = os.environ.get("METER_EVENT_TRANSPORT") or "auto"
    if choice == "auto":
        # Stripe's pages contradict each other on whether a sandbox may use the stream; v1 works in both.
        return "stream" if is_live_key(api_key) else "single"
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
    elif is_live_key(api_key):
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
    stripe_limit = 100 if is_live_key(api_key) else 25
    return positive_number("RECONCILIATION_CALLS_PER_SECOND", stripe_limit / 5)
