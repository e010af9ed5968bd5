"""What was counted beside what Stripe's invoice bills."""

from __future__ import annotations

from collections.abc import Callable

from programs.demo.day import DAY, MIDNIGHT, Day, Organization

COLUMNS = "  {:<20} {:<21} {:>8} {:>9} {:>12}  {}"


def compare(day: Day, say: Callable[[str], None]) -> bool:
    """Print the table; return whether every line agrees and no hour is left due."""
    say("\n" + COLUMNS.format("organisation", "meter", "counted", "billable", "on invoice", ""))
    agree = True
    for organization in day.organizations:
        end = organization.ended_at or MIDNIGHT
        for event_name, counted, billable in _expected(organization):
            billed = None
            if organization.customer_id is not None:
                billed = day.stack.simulator.account.billed(organization.customer_id, event_name, DAY, end)
            agrees = (billed or 0) == billable and _hours_agree(day, organization, event_name)
            agree = agree and agrees
            say(
                COLUMNS.format(
                    organization.organization_id,
                    event_name,
                    counted,
                    billable,
                    "no customer" if billed is None else billed,
                    "agrees" if agrees else "DIFFERS",
                )
            )
    due = day.stack.due_hours()
    say(f"\n{'Every line agrees' if agree else 'Some lines DIFFER'}; {len(due)} hours are left due.")
    return agree and not due


def _expected(organization: Organization) -> list[tuple[str, int, int]]:
    """Return counted and billable quantities by meter; of the active sensors the day's last number is billed."""
    hours = [hour for hour in range(24) if organization.is_billable(hour)]
    sensors = [organization.active_sensors[hour] for hour in hours]
    return [
        ("active_sensors", organization.active_sensors[23], sensors[-1] if sensors else 0),
        ("temperature_readings", organization.readings.total(), sum(organization.readings[hour] for hour in hours)),
    ]


def _hours_agree(day: Day, organization: Organization, event_name: str) -> bool:
    counts = organization.active_sensors if event_name == "active_sensors" else organization.readings
    expected = {
        int(DAY.timestamp()) + 3600 * hour: counts[hour] for hour in range(24) if organization.is_billable(hour)
    }
    if organization.customer_id is None:
        return expected == {}
    return day.stack.simulator.account.hourly(organization.customer_id, event_name) == expected
