"""The explanations of an organisation's invoices, compared with what the invoices at Stripe themselves bill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from billing import clock
from billing.invoices.explaining import explain_period, known_periods
from billing.invoices.explanation import Explanation

if TYPE_CHECKING:
    from programs.local.stack import Stack


def explanations(organization_id: str) -> list[Explanation]:
    """Explain every period of an organisation, the oldest first."""
    now = clock.utc_now()
    periods = known_periods(organization_id, now)
    return [explain_period(organization_id, period, periods, now) for period in reversed(periods)]


def problems_of(stack: Stack, organization_id: str) -> Iterator[str]:
    """Yield what does not add up: a final line of which nothing was told is the sum of its hours and corrections."""
    invoices = stack.simulator.account.invoices
    all_of_them = explanations(organization_id)
    if any(each.period.is_damaged for each in all_of_them):
        return  # what cannot be read may be what is missing
    told = {name for each in all_of_them for totals in each.period.told.values() for name in totals}
    for explanation in all_of_them:
        period = explanation.period
        for line in explanation.lines:
            rows = sum(hour.billed.get(line.event_name, 0) for hour in explanation.hours)
            where = f"{period.span.starts_at} {line}"
            if rows != line.counted + line.carried_in:
                yield f"rows are {rows}: {where}"
            is_new = "changed_since" in [remark.code for remark in line.remarks] and stack.due_hours()
            if line.agrees is None or line.event_name in told or is_new:
                continue
            at_stripe = invoices.billed_quantities(period.span.customer_id, line.event_name)
            billed = sum(at_stripe[invoice_id] for invoice_id in line.by_invoice)
            if rows - line.moved != billed or not line.agrees:
                yield f"the line is {billed}, rows {rows}: {where}"
            if line.moved and "on_other_invoices" not in [remark.code for remark in line.remarks]:
                yield f"moved without a word: {where}"
