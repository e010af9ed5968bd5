"""Parameters that contradict each other, or Stripe's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from billing.settings import key_livemode
from operations.doctor.findings import Finding, bad, first_of, good
from operations.doctor.place import Place

# Meter events a second: https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#rate-limits
STREAM_LIMIT, LIVE_LIMIT, TEST_LIMIT = 10_000, 1_000, 25
Parameters = Mapping[str, str]


def check_parameters(place: Place) -> Iterator[Finding]:
    """Read the stack's parameters; without a key what contradicts a key is left out."""
    livemode = key_livemode(place.secrets.api_key) if place.has_key else None
    agree = good("Parameters", "none contradicts another")
    yield from first_of(chain(contradictions_of(place.parameters, livemode), _workers(place)), agree)


def _workers(place: Place) -> Iterator[Finding]:
    has_workers = place.stack is not None and _number(place.parameters, "MeteringWorkers") > 0
    if has_workers and not place.resources.get("UsageMeteringQueue"):
        yield bad("MeteringWorkers", "there are to be workers, and the stack has no queue for them", "Deploy again.")


def contradictions_of(parameters: Parameters, livemode: bool | None) -> Iterator[Finding]:
    """Yield what contradicts what; `livemode` is the key's mode, None where it is not known."""
    for judge in (_transport, _speed, _checkout, _authorization, _relinking, _telling):
        yield from judge(parameters, livemode)


def _transport(parameters: Parameters, livemode: bool | None) -> Iterator[Finding]:
    if parameters.get("MeterEventTransport") == "stream" and livemode is False:
        advice = "Set it to auto, which is stream for live keys only, and deploy."
        yield bad("MeterEventTransport", "stream, with a test key: sandboxes may not have it", advice)


def _speed(parameters: Parameters, livemode: bool | None) -> Iterator[Finding]:
    per_second = _number(parameters, "MeterEventsPerSecond")
    transport = parameters.get("MeterEventTransport", "auto")
    is_stream = transport == "stream" or (transport == "auto" and livemode is True)
    limit = STREAM_LIMIT if is_stream else LIVE_LIMIT if livemode else TEST_LIMIT
    if livemode is not None and per_second > limit:
        detail = f"{per_second:g}, and Stripe takes {limit} with this key and transport"
        yield bad("MeterEventsPerSecond", detail, "Leave it empty, and deploy.")


def _checkout(parameters: Parameters, livemode: bool | None) -> Iterator[Finding]:
    prices, hosts = (bool(parameters.get(name)) for name in ("AllowedPriceIds", "AllowedRedirectHosts"))
    if prices != hosts:
        given, missing = ("AllowedPriceIds", "AllowedRedirectHosts")[:: 1 if prices else -1]
        yield bad(missing, f"empty, and {given} is not: no checkout can be opened", f"Set {missing}, and deploy.")


def _authorization(parameters: Parameters, livemode: bool | None) -> Iterator[Finding]:
    if parameters.get("JwtAudience") and not parameters.get("JwtIssuer"):
        advice = "Set JwtIssuer too, or empty JwtAudience, and deploy."
        yield bad("JwtAudience", "given without JwtIssuer: the API takes AWS signatures, and no token", advice)


def _relinking(parameters: Parameters, livemode: bool | None) -> Iterator[Finding]:
    if parameters.get("RelinkByReference") == "true" and parameters.get("AllowedPriceIds"):
        detail = "true, and the API opens checkouts, which need no reference that a buyer can choose"
        yield bad("RelinkByReference", detail, "Set it to false unless you sell by payment links too (docs/deploy.md).")


def _telling(parameters: Parameters, livemode: bool | None) -> Iterator[Finding]:
    if parameters.get("Environment") == "prod" and parameters.get("LogLevel") in ("WARNING", "ERROR"):
        detail = f"{parameters['LogLevel']}, in prod: what was done for whom is in no log"
        yield bad("LogLevel", detail, "Set it to INFO, and deploy.")


def _number(parameters: Parameters, name: str) -> float:
    try:
        return float(parameters.get(name) or 0)
    except ValueError:
        return 0.0
