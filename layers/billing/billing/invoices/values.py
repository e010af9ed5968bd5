"""An explanation in the names that programs read: the billing API and the command line show the same. No I/O."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from billing.clock import format_time
from billing.invoices.explanation import ExplainedHour, ExplainedLine
from billing.periods import Period


def period_values(period: Period) -> dict[str, Any]:
    """Return a period, and its invoices."""
    span = period.span
    return {
        "stripe_subscription_id": span.subscription_id,
        "stripe_customer_id": span.customer_id,
        "starts_at": format_time(span.starts_at),
        "ends_at": _time(span.ends_at),
        "is_trial": span.is_trial,
        "state": period.state,
        "is_damaged": period.is_damaged,
        "finalizes_at": _time(period.finalizes_at),
        "invoices": [
            {
                "invoice_id": invoice_id,
                "status": invoice.status,
                "is_final": invoice.is_final,
                "quantities": dict(invoice.quantities),
            }
            for invoice_id, invoice in sorted(period.invoices.items())
        ],
    }


def line_values(line: ExplainedLine) -> dict[str, Any]:
    """Return a meter's line: how it adds up, and what there is to say."""
    return {
        "meter": line.event_name,
        "display_name": line.meter.display_name,
        "formula": line.formula,
        "is_sold": line.is_sold,
        "counted": line.counted,
        "carried_in": line.carried_in,
        "on_other_invoices": line.moved,
        "total": line.total,
        "invoiced": line.invoiced,
        "by_invoice": dict(line.by_invoice),
        "agrees": line.agrees,
        "reasons": [
            {
                "starts_at": format_time(reason.starts_at),
                "ends_at": _time(reason.ends_at),
                "counted": reason.counted,
                "invoiced": reason.invoiced,
                "invoices": list(reason.invoices),
                "late_hours": list(reason.late_hours),
            }
            for reason in line.reasons
        ],
        "remarks": [asdict(remark) for remark in line.remarks],
    }


def hour_values(hour: ExplainedHour) -> dict[str, Any]:
    """Return an hour, by meter."""
    return {
        "window_start": hour.window_start,
        "state": hour.state,
        "reason": hour.reason,
        "place": hour.place,
        "counted": dict(hour.counted),
        "carried": dict(hour.carried),
        "billed": dict(hour.billed),
        "held": list(hour.held),
        "unchanged_since": dict(hour.unchanged_since),
        "history": [
            {"at": entry.at, "kind": entry.kind, "revision": entry.revision, "totals": dict(entry.totals)}
            for entry in hour.history
        ],
        "history_left_out": hour.left_out,
    }


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment is not None else None
