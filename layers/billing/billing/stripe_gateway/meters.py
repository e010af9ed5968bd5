"""Meters: how Stripe counts; https://docs.stripe.com/api/billing/meter."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cache
from typing import Any

from billing.meters import METERS
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.objects import StripeMeter, read_meter


def list_meters(gateway: StripeGateway) -> list[StripeMeter]:
    """Return the account's meters, inactive ones too."""
    return [read_meter(item) for item in gateway.pages("/v1/billing/meters", {"limit": 100})]


@cache
def _known_event_names(gateway: StripeGateway) -> dict[str, str]:
    return {}


def event_names_of(gateway: StripeGateway, meter_ids: Set[str]) -> Mapping[str, str]:
    """Return the event names of those of these meters that are ours, by id.

    Stripe is asked once a process, and again where it is a meter that was not there then: an event name never changes.
    """
    known = _known_event_names(gateway)
    if not meter_ids <= known.keys():
        known.update({meter.meter_id: meter.event_name for meter in list_meters(gateway)})
    ours = {meter.event_name for meter in METERS}
    return {meter_id: known[meter_id] for meter_id in meter_ids if known.get(meter_id) in ours}


def create_meter(gateway: StripeGateway, event_name: str, formula: str, display_name: str) -> str:
    """Create a meter that counts hour by hour, and return its id."""
    params: Any = {
        "display_name": display_name,
        "event_name": event_name,
        "event_time_window": "hour",
        "default_aggregation": {"formula": formula},
        "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
        "value_settings": {"event_payload_key": "value"},
    }
    return gateway.once(lambda client: client.v1.billing.meters.create(params)).id


def rename_meter(gateway: StripeGateway, meter_id: str, display_name: str) -> None:
    """Change the name that people see."""
    gateway.once(lambda client: client.v1.billing.meters.update(meter_id, {"display_name": display_name}))


def reactivate_meter(gateway: StripeGateway, meter_id: str) -> None:
    """Let a meter that was deactivated take events again."""
    gateway.once(lambda client: client.v1.billing.meters.reactivate(meter_id))
