"""An organisation's invoices, and what is behind each: page by page."""

from __future__ import annotations

from typing import Any

from billing import clock
from billing.clock import format_time
from billing.errors import NotSubscribedError
from billing.invoices.explaining import explain_period, known_periods, period_with
from billing.invoices.explanation import settled_line
from billing.invoices.values import hour_values, line_values, period_values
from billing.meters import METERS
from billing.periods import Period

NAMES = ("counted", "carried_in", "on_other_invoices", "total", "invoiced", "agrees", "remarks")


def list_invoices(organization_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return a page of an organisation's billing periods with their invoices, the newest first.

    An organisation has a dozen a year: they are read whole, their hours not at all.
    """
    periods = known_periods(organization_id, clock.utc_now())
    remaining = [period for period in periods if cursor is None or _key(period) <= cursor]
    return {
        "organization_id": organization_id,
        "periods": [period_values(each) | {"meters": _meters(each, periods)} for each in remaining[:limit]],
        "next_cursor": _key(remaining[limit]) if len(remaining) > limit else None,
    }


def read_invoice(organization_id: str, invoice_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return what is behind an invoice, with a page of its hours.

    Raises:
        NotSubscribedError: no period of the organisation has it.
    """
    now = clock.utc_now().replace(microsecond=0)  # it is shown, and times are written in whole seconds
    periods = known_periods(organization_id, now)
    period = period_with(periods, invoice_id)
    if period is None:
        raise NotSubscribedError("The organisation has no such invoice")
    explanation = explain_period(organization_id, period, periods, now)
    remaining = [hour for hour in explanation.hours if cursor is None or hour.window_start >= cursor]
    return {
        "organization_id": organization_id,
        "invoice_id": invoice_id,
        "at": now,
        "period": period_values(period),
        "lines": [line_values(line) for line in explanation.lines],
        "hours": [hour_values(hour) for hour in remaining[:limit]],
        "next_cursor": remaining[limit].window_start if len(remaining) > limit else None,
    }


def _key(period: Period) -> str:
    """Return what a page begins with: periods are sorted by it."""
    return f"{format_time(period.span.starts_at)} {period.span.subscription_id}"


def _meters(period: Period, periods: list[Period]) -> dict[str, dict[str, Any]]:
    found = {}
    for meter in METERS:
        if meter.event_name in period.meters or meter.event_name in period.counted:
            values = line_values(settled_line(meter, period, periods))
            if not period.is_settled:
                values |= {"counted": None, "total": None}
            found[meter.event_name] = {name: values[name] for name in NAMES}
    return found
