"""Are Stripe's meters what the totals need? A total sent twice to a meter that adds up would be billed twice."""

from __future__ import annotations

from collections.abc import Iterable

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
    by_event_name: dict[str, list[StripeMeter]] = {}
    for stripe_meter in stripe_meters:
        by_event_name.setdefault(stripe_meter.event_name, []).append(stripe_meter)
    faults = []
    checked = {}
    for meter in METERS:
        found = by_event_name.get(meter.event_name, [])
        active = [stripe_meter for stripe_meter in found if stripe_meter.status == "active"]
        if len(active) == 1:
            faults += meter_faults(meter, active[0])
            checked[meter.event_name] = active[0].meter_id
        elif found:
            faults.append(f"The Stripe meter {meter.event_name} is not active: reactivate it, or provision a new one")
        else:
            faults.append(f"There is no Stripe meter {meter.event_name} in this account: provision it")
    if faults:
        raise MeterMisconfiguredError("; ".join(faults))
    return checked


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
