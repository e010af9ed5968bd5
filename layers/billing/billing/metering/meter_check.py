"""Are Stripe's meters what the totals need? A total sent twice to a meter that adds up would be billed twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from billing.errors import MeterMisconfiguredError
from billing.meters import METERS, Meter
from billing.stripe_gateway.objects import StripeMeter


def check_meters(stripe_meters: Iterable[StripeMeter]) -> dict[str, str]:
    """Return each meter's Stripe id by event name, if all of them can take totals.

    Raises:
        MeterMisconfiguredError: one cannot; the message names it and says what to do. Nothing is lost: the hours stay
            due, and the first run after the repair sends them.
    Source: https://docs.stripe.com/billing/subscriptions/usage-based/meters/configure
    """
    found = list(stripe_meters)
    faults = [fault for meter in METERS for fault in faults_of(meter, found)]
    if faults:
        raise MeterMisconfiguredError("; ".join(faults))
    active = {each.event_name: each.meter_id for each in found if each.status == "active"}
    return {meter.event_name: active[meter.event_name] for meter in METERS}


def faults_of(meter: Meter, stripe_meters: Sequence[StripeMeter]) -> list[str]:
    """Return what is wrong with an account's meters for `meter`, each with its cure; nothing where it can be billed."""
    found = [each for each in stripe_meters if each.event_name == meter.event_name]
    active = [each for each in found if each.status == "active"]
    if len(active) == 1:
        return meter_faults(meter, active[0])
    if found:
        return [f"The Stripe meter {meter.event_name} is not active: reactivate it, or provision a new one"]
    return [f"There is no Stripe meter {meter.event_name} in this account: provision it"]


def meter_faults(meter: Meter, found: StripeMeter) -> list[str]:
    """Return what makes a Stripe meter unfit for the totals of `meter`, each with its cure; nothing where it is fit."""
    named = f"The Stripe meter {meter.event_name} ({found.meter_id})"
    cure = "Stripe cannot change that: provision a new meter, with another event name in billing/meters.py"
    faults = []
    if found.formula != meter.formula:
        faults.append(f"{named} has the formula {found.formula}, not {meter.formula}: {cure}")
    elif meter.formula == "sum" and found.event_time_window != "hour":
        window = found.event_time_window or "none"
        faults.append(
            f"{named} has the event_time_window {window}, not hour, so an hour's total that is sent again would be "
            f"billed again, or hide other hours: {cure}"
        )
    if found.customer_key not in (None, "stripe_customer_id") or found.value_key not in (None, "value"):
        faults.append(f"{named} reads other payload keys than stripe_customer_id and value: {cure}")
    return faults
