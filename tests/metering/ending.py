"""How a story ended: what Stripe counts beside what was counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from billing import clock

if TYPE_CHECKING:
    from programs.local.stack import Stack


@dataclass
class Ending:
    """The end of a story: what differs, what is still due, what reconciliation found, and how it went."""

    differences: list[str]
    due: list[str]
    drift: Mapping[str, Any]
    recovery_runs: int
    repairs: int
    calls: list[str]

    @property
    def is_exact(self) -> bool:
        """Say whether Stripe counts what was counted, nothing is due, and reconciliation agrees."""
        found = self.drift["drift_events"], self.drift["failures"], self.drift["made_due"]
        return not self.differences and not self.due and found == (0, 0, 0) and self.drift["hours"] >= 5


def differences(stack: Stack, items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return where Stripe, over all customers of an organisation, counts something else than was counted."""
    found = []
    hourly = stack.simulator.account.hourly
    counted: dict[tuple[str, str, str], int] = {}
    at_stripe: dict[tuple[str, str, str], int] = {}
    for item in items:
        organization_id, window_start = item["organization_id"]["S"], item["window_start"]["S"]
        if organization_id not in stack.customers:
            if not item.get("refused", {"S": ""})["S"].startswith("no_customer"):
                found.append(f"{name_of(item)}: not refused")
            continue
        for meter in ("active_sensors", "temperature_readings"):
            counted[organization_id, meter, window_start] = max(0, int(item.get(meter, {"N": "0"})["N"]))
    for organization_id, customers in stack.customers.items():
        for meter in ("active_sensors", "temperature_readings"):
            for customer_id in customers:
                for seconds, value in hourly(customer_id, meter).items():
                    key = organization_id, meter, clock.format_time(clock.from_unix(seconds))
                    at_stripe[key] = at_stripe.get(key, 0) + value
    for key in sorted(counted.keys() | at_stripe.keys()):
        if counted.get(key, 0) != at_stripe.get(key, 0):
            found.append(f"{key}: counted {counted.get(key, 0)}, at Stripe {at_stripe.get(key, 0)}")
    return found


def name_of(item: Mapping[str, Any]) -> str:
    """Return how an hour is named in a message."""
    return f"{item['organization_id']['S']} {item['window_start']['S']}"
