"""A run as a function's invocation: within its time limit, on the real Stripe, with its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from billing import clock
from billing.errors import MeterMisconfiguredError, UnavailableError
from billing.invoices.drafts import look_at_drafts
from billing.metering.due import due_keys, due_keys_fairly, oldest_due
from billing.metering.hour import Key
from billing.metering.meter_check import check_meters
from billing.metering.run import Run, RunSummary
from billing.metering.sending import MeterEventSender
from billing.organizations import check_organization_id
from billing.rate_limit import RateLimit
from billing.settings import meter_event_transport, meter_events_per_second
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.stripe_gateway.meter_events import meter_events
from billing.stripe_gateway.meters import list_meters
from billing.stripe_secrets import secrets_reader
from billing.tables.usage import shard_of
from billing.telemetry import count, logger

# Calls to DynamoDB and Stripe under way at once.
CALLS_AT_ONCE = 16
# Events that are processed together: enough to fill ten requests of the stream, few enough to be sent in seconds.
UNIT_EVENTS = 1000
UNIT_SECONDS = 4
SMALLEST_UNIT = 10


def due_until(event: Any) -> datetime:
    """Return up to when hours are due: the time the schedule meant, which a delayed delivery does not change.

    Raises:
        ValueError: `scheduled_time` is not a time.
    """
    now = clock.utc_now()
    if isinstance(event, Mapping) and event.get("running_hour") is True:
        # A subscription is about to end: Stripe is told what the running hour counts so far, as of one that has ended.
        return clock.hour_of(now) + clock.HOUR
    text = event.get("scheduled_time") if isinstance(event, Mapping) else None
    if not text:
        return now
    try:
        scheduled = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(f'scheduled_time is {text!r}; it must be like "2026-11-23T08:05:00Z"') from None
    if scheduled.tzinfo is None:
        raise ValueError(f'scheduled_time is {text!r}, without a time zone; it must be like "2026-11-23T08:05:00Z"')
    return min(scheduled, now)


def requested_organization(event: Any) -> str | None:
    """Return the organisation that an event asks a run for; None where it asks for all, as the schedule does.

    Raises:
        InvalidUsageError: no organisation can have such an id.
    """
    organization_id = event.get("organization_id") if isinstance(event, Mapping) else None
    return None if organization_id is None else check_organization_id(organization_id)


def only_measures(event: Any) -> bool:
    """Say whether an event asks for the backlog's age alone, as the schedule `Backlog` does."""
    return isinstance(event, Mapping) and event.get("measure") == "backlog"


def process_shards(
    shards: Sequence[int], until: datetime, may_continue: Callable[[], bool] = lambda: True
) -> RunSummary:
    """Bill the due hours of these shards that ended by `until`, and emit the run's metrics.

    Raises:
        MeterMisconfiguredError: a Stripe meter would bill wrongly; nothing was sent and all hours stay due.
        ConfigurationError: a setting is missing.
        StripeUnavailableError: the meters could not be read.
        UnavailableError: the run gave up, because one part after the other could not be sent.
    """
    try:
        gateway = stripe_gateway()
        summary = _process(due_keys_fairly(shards, until), gateway, may_continue)
        # Now, when what can be sent was sent: what is still due is what a draft has to wait for.
        look_at_drafts(shards, gateway, clock.utc_now(), may_continue)
    except Exception:
        count("runs_failed")
        raise
    count("runs_failed" if summary.failures or summary.gave_up else "runs_succeeded")
    return _checked(summary)


def process_organization(
    organization_id: str, until: datetime, may_continue: Callable[[], bool] = lambda: True
) -> RunSummary:
    """Bill one organisation's due hours that ended by `until`: between the scheduled runs, of which it is none.

    So it does not count among those that succeeded or failed, and drafts are left to them. Raises as `process_shards`.
    """
    keys = (key for key in due_keys(shard_of(organization_id), until) if key[0] == organization_id)
    return _checked(_process(keys, stripe_gateway(), may_continue))


def _process(keys: Iterable[Key], gateway: StripeGateway, may_continue: Callable[[], bool]) -> RunSummary:
    check_run_meters(gateway)
    with ThreadPoolExecutor(CALLS_AT_ONCE, "metering") as executor:
        summary = new_run(gateway, executor, may_continue).process(keys)
    _emit(summary)
    return summary


def _checked(summary: RunSummary) -> RunSummary:
    if summary.gave_up:
        raise UnavailableError(
            f"The run gave up; {summary.left} of {summary.hours} hours stay due: {summary.last_problem}"
        )
    return summary


def check_run_meters(gateway: StripeGateway) -> dict[str, str]:
    """Return the meters' ids, or count and raise that one of them would bill wrongly."""
    try:
        return check_meters(list_meters(gateway))
    except MeterMisconfiguredError:
        count("meter_misconfigured")
        raise


def new_run(
    gateway: StripeGateway, executor: ThreadPoolExecutor, may_continue: Callable[[], bool] = lambda: True
) -> Run:
    """Return a run with the transport, the rate and the unit that the settings ask for."""
    api_key = secrets_reader().current().api_key
    transport = meter_event_transport(api_key)
    per_second = meter_events_per_second(api_key, transport)
    sender = MeterEventSender(meter_events(gateway), transport, executor, RateLimit(per_second), may_continue)
    unit = int(min(UNIT_EVENTS, max(UNIT_SECONDS * per_second, SMALLEST_UNIT)) / 2)
    return Run(sender, unit, executor, clock.utc_now, may_continue)


def emit_backlog(now: datetime) -> float:
    """Emit and return how old the oldest due hour is, in seconds; 0 when none is due.

    Emitted by every run, also when there is no usage: so silence is never mistaken for health.
    """
    oldest = oldest_due()
    age = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    count("oldest_due_hour_age", age)
    return age


def _emit(summary: RunSummary) -> None:
    count("hours_due", summary.hours)
    count("hours_settled", summary.settled)
    count("hours_left", summary.left)
    count("events_sent", summary.events_sent)
    for code, number in summary.refused.items():
        count("hours_refused", number, code)
    logger.info("Usage run ended", extra=summary.as_dict())
