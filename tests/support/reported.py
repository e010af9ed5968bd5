"""Three organisations whose two hours were reported, and the damage that a comparison is to find."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from billing.tables.subscriptions import SEGMENTS, subscriptions_in_segment
from tests.support.due_hours import HOUR

if TYPE_CHECKING:
    from programs.local.stack import Stack

ORGANIZATIONS = ("acme", "beta", "gone")
READINGS = "temperature_readings"
NINE = HOUR + timedelta(hours=1)


def customer_of(stack: Stack, organization_id: str) -> str:
    return next(iter(stack.customers[organization_id]))


def damage(stack: Stack) -> None:
    """Let Stripe lose an hour of one organisation and double one of another."""
    events = stack.simulator.account.meter_events
    assert events.lose_hour(customer_of(stack, "acme"), READINGS, HOUR.timestamp())
    assert events.double_hour(customer_of(stack, "beta"), "active_sensors", NINE.timestamp())


def differences(stack: Stack) -> list[Any]:
    return stack.differences(ORGANIZATIONS, HOUR - timedelta(days=40), HOUR + timedelta(days=2))


def segment_of(stack: Stack, organization_id: str) -> int:
    def is_in(part: int) -> bool:
        return organization_id in [record.organization_id for record in subscriptions_in_segment(part)]

    return next(part for part in range(SEGMENTS) if is_in(part))
