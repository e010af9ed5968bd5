"""What is to be sent for an hour, to whom, under which revision; or why nothing can be. Nothing here does I/O."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from billing.clock import format_time, hour_of, parse_time
from billing.metered_subscriptions import MeteredSubscription, covering
from billing.metering.hour import Declaration, Late, Link, MeterEvent, Refusal, UsageHour
from billing.meters import METERS, Meter
from billing.stripe_limits import LARGEST_VALUE, OLDEST_USAGE

# Minutes less than Stripe takes: the event has yet to get there.
OLDEST = OLDEST_USAGE - timedelta(minutes=5)
# AWS Lambda ends a function after 15 minutes at the latest; a minute more for clocks that differ.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
SENDER_LIFETIME = timedelta(minutes=16)
IDENTIFIER_LENGTH = 100
HASHED = "sha256-"


# The refusals that end when an organisation's customer or subscription becomes known.
NO_CUSTOMER = "no_customer"
NO_SUBSCRIPTION = "no_subscription"
SUBSCRIPTION_NOT_BEGUN = "subscription_not_begun"
SUBSCRIPTION_ENDED = "subscription_ended"
UNLINKED = (NO_CUSTOMER, NO_SUBSCRIPTION, SUBSCRIPTION_NOT_BEGUN, SUBSCRIPTION_ENDED)
# Those that only another count, or nothing, ends.
INVALID_USAGE = "invalid_usage"
TOO_OLD = "too_old"


def plan(
    hour: UsageHour, link: Link | None, now: datetime, *, is_settled: bool = False
) -> Declaration | Late | Refusal | None:
    """Decide what to do with a due hour.

    Declare and send totals, refuse it, or (None) settle it with nothing sent; where its period `is_settled`, what is
    new is late.
    """
    try:
        start = parse_time(hour.window_start)
        totals = {meter.event_name: total(hour, meter) for meter in METERS if _is_counted(hour, meter)}
    except ValueError as error:
        return Refusal(INVALID_USAGE, str(error))
    if hour_of(start) != start:
        return Refusal(INVALID_USAGE, f"{hour.window_start} is not the start of an hour")
    if is_settled:
        # Even what Stripe has: the period may have been counted while the hour counted something else.
        return Late(totals)
    if hour.sending is None and hour.reported == totals:
        return None
    if start < now - OLDEST:
        return Refusal(TOO_OLD, "Stripe takes no usage that is older than 35 days")
    if hour.reported_to is not None:
        return _declaration(hour, totals, hour.reported_to, hour.stamped_from, now)
    subscription = _subscription(link, start)
    if isinstance(subscription, Refusal):
        return subscription
    begins = subscription.begins_within(start)
    return _declaration(hour, totals, subscription.customer_id, format_time(begins) if begins else "", now)


def _subscription(link: Link | None, start: datetime) -> MeteredSubscription | Refusal:
    """Return the subscription to which an hour belongs, or why there is none."""
    if link is None or not link.customer_id:
        return Refusal(NO_CUSTOMER, "No Stripe customer for organization")
    if not link.subscriptions:
        return Refusal(NO_SUBSCRIPTION, "The organization has no subscription to a meter: no checkout was finished")
    subscription = covering(link.subscriptions, start)
    if subscription is not None:
        return subscription
    ends = [each.end for each in link.subscriptions if each.end is not None and each.end <= start]
    if ends:
        return Refusal(SUBSCRIPTION_ENDED, f"The subscription ended at {format_time(max(ends))}")
    begins = min(each.started_at for each in link.subscriptions)
    return Refusal(SUBSCRIPTION_NOT_BEGUN, f"The subscription began at {format_time(begins)}, after the hour")


def _is_counted(hour: UsageHour, meter: Meter) -> bool:
    name = meter.event_name
    return any(name in names for names in (hour.counts, hour.carried, hour.held, hour.reported, hour.sending or ()))


def total(hour: UsageHour, meter: Meter) -> int:
    """Return what Stripe is to count of a meter in an hour: what was counted, and what earlier periods bring into it.

    Raises:
        ValueError: what was counted is no number, or has too many digits.
    """
    event_name = meter.event_name
    raw = hour.counts.get(event_name)
    carried = hour.carried.get(event_name, 0)
    if raw is None:
        # Reported once and removed since: Stripe is to count nothing.
        return carried + hour.held.get(event_name, 0)
    try:
        number = max(0, math.floor(Decimal(raw["N"]))) + carried
    except (KeyError, InvalidOperation):
        raise ValueError(f"{event_name} is not a number") from None
    if number > LARGEST_VALUE:
        raise ValueError(f"{event_name} has more than 15 digits")
    return number


def _declaration(
    hour: UsageHour, totals: Mapping[str, int], customer_id: str, stamped_from: str, now: datetime
) -> Declaration:
    others_until = hour.others_until
    if hour.sending_since:
        # Whoever declared last may be alive, and sends until its function ends.
        others_until = max(others_until, format_time(parse_time(hour.sending_since) + SENDER_LIFETIME))
    is_resend = hour.sending == totals
    # The sender that is overtaken sends the very same: only those that it had to doubt itself may send anything else.
    doubt_until = hour.doubt_until if is_resend else others_until
    # After a doubt an older total may have come last: Stripe takes this one anew only under another identifier.
    is_new = not is_resend or _is_over(doubt_until, now)
    return Declaration(
        hour=hour,
        totals=totals,
        customer_id=customer_id,
        revision=hour.revision + 1 if is_new else hour.revision,
        doubt_until="" if _is_over(doubt_until, now) else doubt_until,
        others_until="" if _is_over(others_until, now) else others_until,
        stamped_from=stamped_from,
    )


def _is_over(until: str, now: datetime) -> bool:
    return bool(until) and parse_time(until) <= now


def meter_events(declaration: Declaration) -> list[MeterEvent]:
    """Return the events that tell Stripe what it does not know yet of a declared hour.

    After an earlier send whose end is unknown, that is every total. They are stamped from the moment on at which a
    billing period begins in the hour: so the hour is of that period, whose invoice is a period away, and not before the
    subscription's start, where Stripe would bill it to nobody. The moment stays the same for all corrections: a later
    total has a later time.
    """
    hour = declaration.hour
    known = hour.reported if hour.sending is None else {}
    # In its hour whatever happens: corrections that come after its last second share it, and Stripe goes by arrival.
    start = int(parse_time(hour.window_start).timestamp())
    first = int(parse_time(declaration.stamped_from).timestamp()) if declaration.stamped_from else start
    timestamp = min(first + declaration.revision, start + 3599)
    return [
        MeterEvent(
            event_name=event_name,
            identifier=identifier(hour.organization_id, event_name, hour.window_start, declaration.revision, value),
            timestamp=timestamp,
            customer_id=declaration.customer_id,
            value=value,
        )
        for event_name, value in declaration.totals.items()
        if known.get(event_name) != value
    ]


def identifier(organization_id: str, event_name: str, window_start: str, revision: int, value: int) -> str:
    """Return the identifier of a total: readable, at most 100 characters, the same for every resend of it.

    `acme:active_sensors:2026-11-23T08Z:r1:42`; a long organisation id is replaced by a hash, and so is one that looks
    like such a hash.
    """
    rest = f":{event_name}:{window_start[:13]}Z:r{revision}:{value}"
    if len(organization_id) + len(rest) > IDENTIFIER_LENGTH or organization_id.startswith(HASHED):
        digest = hashlib.sha256(organization_id.encode()).hexdigest()
        organization_id = HASHED + digest[: min(32, IDENTIFIER_LENGTH - len(rest) - len(HASHED))]
    return organization_id + rest


@dataclass(frozen=True, slots=True)
class NamedTotal:
    """What an identifier names."""

    organization_id: str
    event_name: str
    window_start: str
    revision: int


def parse_identifier(text: str) -> NamedTotal | None:
    """Read an identifier that `identifier` made; None for any other, and where the organisation is hashed."""
    parts = text.rsplit(":", 4)
    if len(parts) != 5 or parts[0].startswith(HASHED):
        return None
    organization_id, event_name, hour, revision, _ = parts
    try:
        window_start = format_time(datetime.strptime(hour + "+0000", "%Y-%m-%dT%HZ%z"))
        return NamedTotal(organization_id, event_name, window_start, int(revision.removeprefix("r")))
    except ValueError:
        return None
