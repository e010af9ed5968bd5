"""What becomes of an invoice: finalised, paid or not, voided, written off. Each with the events that Stripe emits.

https://docs.stripe.com/invoicing/integration/workflow-transitions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.resources import StripeObject, copied

if TYPE_CHECKING:
    from stripe_simulator.account import Account

_RETRY_SECONDS = 3 * 86400


def finalize(account: Account, invoice: StripeObject) -> None:
    """Finalise a draft, and try to collect it: one that does not advance by itself only where it costs nothing."""
    now = int(account.now())
    invoice.update(
        status="open",
        number=f"SIM-{next(account.invoices.numbers):04d}",
        effective_at=now,
        automatically_finalizes_at=None,
        hosted_invoice_url=f"{account.public_url}/_simulator/invoices/{invoice['id']}",
    )
    invoice["status_transitions"]["finalized_at"] = now
    account.events.emit("invoice.finalized", invoice)
    if invoice["auto_advance"] or not invoice["total"]:
        collect(account, invoice)


def collect(account: Account, invoice: StripeObject) -> None:
    """Try to collect a finalised invoice; its subscription follows."""
    now = int(account.now())
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + (1 if invoice["total"] else 0))
    paid = not invoice["total"] or account.customers.pays(invoice["customer"])
    if paid:
        invoice.update(status="paid", auto_advance=False, next_payment_attempt=None)
        invoice.update(amount_paid=invoice["total"], amount_remaining=0)
        invoice["status_transitions"]["paid_at"] = now
        account.events.emit("invoice.paid", invoice)
        account.events.emit("invoice.payment_succeeded", invoice)
    else:
        invoice["next_payment_attempt"] = now + _RETRY_SECONDS
        account.events.emit("invoice.payment_failed", invoice)
    if invoice["billing_reason"] != "subscription_create" or invoice["attempt_count"] > 1:
        account.subscriptions.payment_result(invoice["parent"]["subscription_details"]["subscription"], paid=paid)


def write_off(account: Account, invoice: StripeObject, status: str) -> None:
    """Make an invoice `void` or `uncollectible`, so that nobody tries to collect it any more."""
    before = copied(invoice)
    field = "voided_at" if status == "void" else "marked_uncollectible_at"
    invoice.update(status=status, auto_advance=False, automatically_finalizes_at=None, next_payment_attempt=None)
    invoice["status_transitions"][field] = int(account.now())
    account.events.emit("invoice.updated", invoice, before)
    account.events.emit(f"invoice.{'voided' if status == 'void' else 'marked_uncollectible'}", invoice)
