"""The meters: what is billed. A third meter is one more line here and one more attribute of the usage table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Formula = Literal["last", "sum"]


@dataclass(frozen=True, slots=True)
class Meter:
    """One Stripe meter.

    `event_name` is Stripe's event name and the attribute of the usage table that holds the count; `formula` is the
    meter's `default_aggregation.formula`. Source: https://docs.stripe.com/api/billing/meter/object
    """

    event_name: str
    formula: Formula
    display_name: str


METERS = (
    Meter("active_sensors", "last", "Active sensors"),
    Meter("temperature_readings", "sum", "Temperature readings"),
)
SUM_METERS = tuple(meter.event_name for meter in METERS if meter.formula == "sum")
LAST_METERS = tuple(meter.event_name for meter in METERS if meter.formula == "last")
