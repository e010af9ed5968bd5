"""What is sold: meters, prices; and how it is invoiced: the customer portal, the grace period of drafts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from billing.metering.meter_check import faults_of
from billing.meters import METERS
from billing.stripe_gateway.catalogue import list_prices_by_lookup_key, retrieve_price
from billing.stripe_gateway.invoices import GracePeriod, list_grace_periods
from billing.stripe_gateway.meters import event_names_of, list_meters
from billing.stripe_gateway.objects import StripeMeter, id_of
from billing.stripe_gateway.portal import is_own, list_portal_configurations
from operations.doctor.findings import Finding, bad, good, named, unknown
from operations.doctor.place import Place
from operations.provisioning.catalogue import Catalogue, read_catalogue

PROVISION = "Run `operate provision --apply`."
# Stripe's own default, less what a clock may be off.
LEAST_GRACE = timedelta(minutes=59)


def check_meters(place: Place) -> Iterator[Finding]:
    """List the account's meters."""
    yield from judge_meters(list_meters(place.gateway))


def judge_meters(stripe_meters: Sequence[StripeMeter]) -> Iterator[Finding]:
    """Judge each of our meters as a run does before it sends."""
    for meter in METERS:
        subject = f"Meter {meter.event_name}"
        faults = faults_of(meter, stripe_meters)
        if faults:
            yield bad(subject, "; ".join(faults), "Mend it with `operate provision`; until then no run sends.")
        else:
            yield good(subject, f"active, formula {meter.formula}")


def check_prices(place: Place) -> Iterator[Finding]:
    """Retrieve each price of AllowedPriceIds, and those that the catalogue names."""
    allowed, catalogue = place.allowed_price_ids, read_catalogue()
    prices = {price_id: retrieve_price(place.gateway, price_id) for price_id in allowed}
    found = [price for price in prices.values() if price is not None]
    event_names = event_names_of(place.gateway, {str(meter_id) for price in found if (meter_id := _meter_of(price))})
    for price_id, price in prices.items():
        yield judge_price(price_id, price, event_names)
    yield from judge_currencies(found)
    by_key = list_prices_by_lookup_key(place.gateway, catalogue.lookup_keys)
    yield from judge_catalogue(catalogue, by_key, allowed)


def judge_price(price_id: str, price: Mapping[str, Any] | None, event_names: Mapping[str, str]) -> Finding:
    """Judge a price that a checkout may be opened for; `event_names` has our meters' by Stripe's id."""
    subject = f"Price {price_id}"
    if price is None:
        return bad(subject, "Stripe has no such price", "Take it out of AllowedPriceIds, and deploy.")
    recurring = price.get("recurring") or {}
    faults = []
    if not price["active"]:
        faults.append("it is archived")
    if price["type"] != "recurring":
        faults.append("nobody can subscribe to it: it is paid once")
    elif recurring.get("usage_type") == "metered" and _meter_of(price) not in event_names:
        faults.append("it bills by a meter that is none of this stack")
    if price.get("transform_quantity") is not None:
        faults.append("it is charged by the package (transform_quantity), so that its invoices cannot be compared")
    if faults:
        return bad(subject, "; ".join(faults), "Mend it at Stripe, or take it out of AllowedPriceIds, and deploy.")
    name = event_names.get(_meter_of(price) or "", "a fixed amount")
    return good(subject, f"active, {name}, {price['currency']}, each {recurring.get('interval')}")


def judge_currencies(prices: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Judge the prices of one checkout together: a subscription has one currency."""
    currencies = {str(price["currency"]) for price in prices}
    if len(currencies) > 1:
        yield bad(
            "AllowedPriceIds",
            f"prices in {named(currencies)}: no subscription can have them together",
            "Let AllowedPriceIds name prices of one currency, and deploy.",
        )


def judge_catalogue(
    catalogue: Catalogue, by_lookup_key: Mapping[str, Mapping[str, Any]], allowed: Sequence[str]
) -> Iterator[Finding]:
    """Judge the prices of operations/catalogue.toml: made, active and allowed."""
    for lookup_key in catalogue.lookup_keys:
        subject, price = f"Price {lookup_key}", by_lookup_key.get(lookup_key)
        if price is None or not price["active"]:
            yield bad(subject, "Stripe has it not" if price is None else "it is archived", PROVISION)
        elif allowed and price["id"] not in allowed:
            advice = "Put its id there and deploy, or take it out of operations/catalogue.toml."
            yield bad(subject, f"{price['id']} is not in AllowedPriceIds", advice)
        else:
            yield good(subject, str(price["id"]))


def _meter_of(price: Mapping[str, Any]) -> str | None:
    return id_of((price.get("recurring") or {}).get("meter"))


def check_portal(place: Place) -> Iterator[Finding]:
    """List the portal's configurations."""
    yield judge_portal(list_portal_configurations(place.gateway))


def judge_portal(configurations: Sequence[Mapping[str, Any]]) -> Finding:
    """Judge the configuration that the billing API opens the portal with."""
    subject = "Customer portal"
    own = next(filter(is_own, configurations), None)
    used = own or next((each for each in configurations if each["is_default"]), None)
    if used is None:
        return bad(subject, "it has no configuration, so it cannot be opened", PROVISION)
    which = used["id"] if own else f"the account's default ({used['id']})"
    cancel = used["features"]["subscription_cancel"]
    if cancel["enabled"] and cancel["mode"] != "at_period_end":
        return bad(subject, f"{which} ends subscriptions at once: their last usage is never invoiced", PROVISION)
    ends = "subscriptions end at the period's end" if cancel["enabled"] else "subscriptions cannot be cancelled there"
    return good(subject, f"{which}: {ends}")


def check_grace_period(place: Place) -> Iterator[Finding]:
    """Look at the newest hundred invoices."""
    yield judge_grace_periods(list_grace_periods(place.gateway))


def judge_grace_periods(periods: Sequence[GracePeriod]) -> Finding:
    """Judge how long the account keeps the drafts of a period's end, by those that were the shortest."""
    subject, settings = "Grace period", "Stripe's dashboard (Settings, Billing, Invoices)"
    if not periods:
        advice = f"Look again after the first period's end, or in {settings}: at least an hour."
        return unknown(subject, "no invoice yet that a period's end has made", advice)
    never = [each.invoice_id for each in periods if each.length is None]
    if never:
        advice = f"Turn automatic finalization on in {settings}, and finalize these."
        return bad(subject, f"drafts that are never made final: {named(never)}", advice)
    shortest = min((each for each in periods if each.length is not None), key=lambda each: each.length or timedelta())
    minutes = int((shortest.length or timedelta()).total_seconds()) // 60
    if shortest.length is not None and shortest.length < LEAST_GRACE:
        detail = f"{shortest.invoice_id} was a draft for {minutes} minutes: usage may come too late for its invoice"
        return bad(subject, detail, f"Set the grace period to an hour or more in {settings}.")
    return good(subject, f"drafts of {len(periods)} invoices, the shortest {minutes} minutes")
