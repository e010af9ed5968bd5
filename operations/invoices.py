"""Which period is asked for: by the id of an invoice, or by its organisation and a moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from pynamodb.expressions.operand import Path

from billing.clock import format_time
from billing.errors import BillingError
from billing.invoices.explaining import explain_period, known_periods, period_at, period_with
from billing.invoices.explanation import Explanation
from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_gateway.invoices import retrieve_invoice
from billing.tables.customers import organization_with_customer
from billing.tables.periods import PeriodRecord
from operations.organizations import check_is_known


class UnknownInvoiceError(BillingError):
    """An invoice of which no period knows."""


class UnknownPeriodError(BillingError):
    """A moment that lies in no period of an organisation, or in several."""


def explain_invoice(invoice_id: str, now: datetime, tell: Callable[[str], None]) -> Explanation:
    """Explain an invoice.

    Stripe is asked whose it is: one call, and a few reads of the tables. Where Stripe cannot say, PeriodsTable is read
    whole, an item of about a kilobyte for each organisation and month; `tell` says so.

    Raises:
        UnknownInvoiceError: no period has it.
    """
    organization_id = _organization_by_stripe(invoice_id, tell) or _organization_by_scan(invoice_id)
    if organization_id is None:
        raise UnknownInvoiceError(
            f"No period has the invoice {invoice_id}; `periods ORGANISATION` lists those that it has"
        )
    periods = known_periods(organization_id, now)
    period = period_with(periods, invoice_id)
    if period is None:
        raise UnknownInvoiceError(
            f"{invoice_id} is an invoice of {organization_id}, but none of its periods has it: it bills none of the "
            f"meters, or nobody has looked at it yet (`reconcile` does)"
        )
    return explain_period(organization_id, period, periods, now)


def _organization_by_stripe(invoice_id: str, tell: Callable[[str], None]) -> str | None:
    try:
        invoice = retrieve_invoice(stripe_gateway(), invoice_id)
    except BillingError as error:
        tell(f"Stripe cannot say whose {invoice_id} is ({error}): looking through all periods")
        return None
    return organization_with_customer(invoice.customer_id) if invoice is not None else None


def _organization_by_scan(invoice_id: str) -> str | None:
    has_it = Path("invoices").contains(json.dumps(invoice_id))
    records = PeriodRecord.scan(has_it, attributes_to_get=["organization_id", "period"])
    return next((record.organization_id for record in records), None)


def explain_at(
    organization_id: str, moment: datetime | None, subscription_id: str | None, now: datetime
) -> Explanation:
    """Explain the period that begins at a moment, or that it lies in; without a moment, the present one.

    Raises:
        UnknownOrganizationError: no table knows the organisation.
        UnknownPeriodError: there is no such period, or several; the message lists those that there are.
    """
    check_is_known(organization_id)
    periods = known_periods(organization_id, now)
    found = period_at(periods, moment or now, subscription_id)
    if len(found) != 1:
        listed = ", ".join(
            f"{format_time(each.span.starts_at)} {each.span.subscription_id}" for each in found or periods
        )
        what = "Several periods are" if found else "No period is"
        hint = "choose with --subscription" if found else "its periods begin at"
        raise UnknownPeriodError(
            f"{what} of {organization_id} at {format_time(moment or now)}; {hint}: {listed or 'it has none'}"
        )
    return explain_period(organization_id, found[0], periods, now)
