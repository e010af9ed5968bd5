"""Invoices: what a period bills, when it is final, and whether it is paid.

https://docs.stripe.com/billing/invoices/subscription: made when a period ends, a draft for about an hour (usage of the
period that arrives meanwhile is still on it), then finalised and paid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.errors import ApiError, missing_parameter
from stripe_simulator.invoice_lines import quantity_of_meter, set_first_lines, set_period_lines
from stripe_simulator.new_objects import NEW_INVOICE
from stripe_simulator.parameters import Params, in_range, one_of, page_limit, text
from stripe_simulator.resources import Resource, StripeObject, copied, on_its_clock, page, synchronized
from stripe_simulator.subscription_cycle import ENDED_STATUSES
from stripe_simulator.subscription_items import current_period_start

if TYPE_CHECKING:
    from stripe_simulator.account import Account

URL = "/v1/invoices"
_STATUSES = ("draft", "open", "paid", "uncollectible", "void")


@synchronized
class Invoices(Resource):
    """The account's invoices. A draft's lines follow its period's usage; finalising freezes them."""

    resource_name = "invoice"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._number = 0
        self._how: dict[str, dict[str, bool]] = {}
        self._billed_until: dict[str, int] = {}

    # --- what subscriptions make

    def first(self, subscription: StripeObject) -> None:
        """Make, finalise and try to collect the invoice of a new subscription, unless all of it is billed by usage."""
        at = subscription["start_date"]
        invoice = self._new(subscription, at, at, "subscription_create")
        set_first_lines(invoice, subscription)
        if self._keep(invoice, subscription):
            self._finalize(invoice)

    def for_period(self, subscription: StripeObject, start: int, end: int, **how: bool) -> None:
        """Make the draft that bills a period's usage; it is finalised after `Settings.invoice_draft_seconds`.

        Where there is nothing to bill, as Stripe's flexible billing has it, there is none. `how` is what
        `set_period_lines` takes: `free_usage` for a trial, `is_last` for the period in which the subscription ends.
        """
        self._draft(subscription, start, end, "subscription_cycle", **how)

    def for_pause(self, subscription: StripeObject) -> None:
        """Make the draft that bills the usage until now of a subscription that is about to be paused."""
        now = int(self.account.now())
        if subscription["status"] != "trialing":
            self._draft(subscription, current_period_start(subscription), now, "subscription_update", usage_only=True)
            self._billed_until[subscription["id"]] = now

    def _draft(self, subscription: StripeObject, start: int, end: int, reason: str, **how: bool) -> None:
        start = max(start, self._billed_until.get(subscription["id"], start))
        invoice = self._new(subscription, start, end, reason)
        self._how[invoice["id"]] = how
        self._price_draft(invoice)
        at = invoice["created"] + self.account.settings.invoice_draft_seconds
        invoice["automatically_finalizes_at"] = at
        if self._keep(invoice, subscription):
            self.account.schedule(at, lambda: self._close_draft(invoice))

    def _keep(self, invoice: StripeObject, subscription: StripeObject) -> bool:
        """Keep an invoice that bills anything, and say whether it does."""
        if invoice["lines"]["data"]:
            self.objects[invoice["id"]] = invoice
            subscription["latest_invoice"] = invoice["id"]
            self.account.events.emit("invoice.created", invoice)
        return bool(invoice["lines"]["data"])

    def _new(self, subscription: StripeObject, start: int, end: int, reason: str) -> StripeObject:
        customer = self.account.customers.objects.get(subscription["customer"], {})
        invoice_id = self.account.new_id("in", 24)
        return copied(NEW_INVOICE) | {
            "id": invoice_id,
            "billing_reason": reason,
            "created": int(self.account.now()),
            "currency": subscription["currency"],
            "customer": subscription["customer"],
            "customer_email": customer.get("email"),
            "customer_name": customer.get("name"),
            "lines": {"object": "list", "data": [], "has_more": False, "url": f"{URL}/{invoice_id}/lines"},
            "parent": {
                "quote_details": None,
                "subscription_details": {
                    "metadata": dict(subscription["metadata"]),
                    "subscription": subscription["id"],
                },
                "type": "subscription_details",
            },
            "period_end": end,
            "period_start": start,
            "test_clock": subscription["test_clock"],
        }

    def _subscription(self, invoice: StripeObject) -> StripeObject:
        return self.account.subscriptions.objects[invoice["parent"]["subscription_details"]["subscription"]]

    def _price_draft(self, invoice: StripeObject) -> None:
        """Set a draft's lines to what its period's usage is now; other invoices keep theirs."""
        if invoice["status"] == "draft" and invoice["billing_reason"] != "subscription_create":
            set_period_lines(self.account, invoice, self._subscription(invoice), **self._how.get(invoice["id"], {}))

    # --- the life of an invoice

    def _close_draft(self, invoice: StripeObject) -> None:
        pause = self._subscription(invoice)["pause_collection"]
        if invoice["billing_reason"] == "subscription_update":
            pause = None  # it bills what was before the pause
        if invoice["status"] != "draft" or (pause and pause["behavior"] == "keep_as_draft"):
            return
        self._price_draft(invoice)
        if pause:
            self._close(invoice, "void" if pause["behavior"] == "void" else "uncollectible")
        else:
            self._finalize(invoice)

    def _finalize(self, invoice: StripeObject) -> None:
        now = int(self.account.now())
        self._number += 1
        invoice.update(
            status="open",
            number=f"SIM-{self._number:04d}",
            effective_at=now,
            automatically_finalizes_at=None,
            hosted_invoice_url=f"{self.account.public_url}/_simulator/invoices/{invoice['id']}",
        )
        invoice["status_transitions"]["finalized_at"] = now
        self.account.events.emit("invoice.finalized", invoice)
        self._collect(invoice)

    def _collect(self, invoice: StripeObject) -> None:
        now = int(self.account.now())
        subscription_id = invoice["parent"]["subscription_details"]["subscription"]
        invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + (1 if invoice["total"] else 0))
        paid = not invoice["total"] or self.account.customers.pays(invoice["customer"])
        if paid:
            invoice.update(status="paid", amount_paid=invoice["total"], amount_remaining=0, next_payment_attempt=None)
            invoice["status_transitions"]["paid_at"] = now
            self.account.events.emit("invoice.paid", invoice)
            self.account.events.emit("invoice.payment_succeeded", invoice)
        else:
            invoice["next_payment_attempt"] = now + 3 * 86400
            self.account.events.emit("invoice.payment_failed", invoice)
        if invoice["billing_reason"] != "subscription_create" or invoice["attempt_count"] > 1:
            self.account.subscriptions.payment_result(subscription_id, paid=paid)

    def _close(self, invoice: StripeObject, status: str) -> None:
        before = copied(invoice)
        field = "voided_at" if status == "void" else "marked_uncollectible_at"
        invoice["status"] = status
        invoice["status_transitions"][field] = int(self.account.now())
        self.account.events.emit("invoice.updated", invoice, before)
        self.account.events.emit(f"invoice.{'voided' if status == 'void' else 'marked_uncollectible'}", invoice)

    # --- the API

    def retrieve(self, invoice_id: str) -> StripeObject:
        """Return an invoice, a draft with its usage until now, or raise a 404."""
        invoice = self._find(invoice_id)
        self._price_draft(invoice)
        return copied(invoice)

    def list(self, params: Params) -> StripeObject:
        """List invoices, newest first, by `customer`, `subscription`, `status` and `created` where given.

        Those of a test clock are listed by their customer or subscription only.
        """
        customer, subscription = text(params, "customer"), text(params, "subscription")
        status = one_of(params, "status", _STATUSES)
        page_limit(params)
        matching = [
            invoice
            for invoice in reversed(self.objects.values())
            if customer in (None, invoice["customer"])
            and subscription in (None, invoice["parent"]["subscription_details"]["subscription"])
            and status in (None, invoice["status"])
            and (customer or subscription or invoice["test_clock"] is None)
            and in_range(params, "created", invoice["created"])
        ]
        result = page(matching, params, URL)
        for invoice in result["data"]:
            self._price_draft(invoice)
        return copied(result)

    @on_its_clock
    def finalize(self, invoice_id: str) -> StripeObject:
        """Finalise a draft now and try to collect it.

        Raises:
            ApiError: 400 where it is no draft.
        """
        invoice = self._find(invoice_id)
        if invoice["status"] != "draft":
            raise ApiError(400, "This invoice is already finalized, you can't re-finalize a non-draft invoice.")
        self._price_draft(invoice)
        self._finalize(invoice)
        return copied(invoice)

    @on_its_clock
    def pay(self, invoice_id: str) -> StripeObject:
        """Try again to collect an open invoice.

        Raises:
            ApiError: 400 where it is not open; 402 where the payment fails.
        """
        invoice = self._find(invoice_id)
        if invoice["status"] != "open":
            raise ApiError(400, f"Invoice is {invoice['status']} and cannot be paid.")
        self._collect(invoice)
        if invoice["status"] != "paid":
            raise ApiError(402, "Your card was declined.", type="card_error", code="card_declined", saved=True)
        return copied(invoice)

    def preview(self, params: Params) -> StripeObject:
        """Show the invoice of a subscription's current period as it would be now (`subscription` or `customer`).

        Raises:
            ApiError: 404 `invoice_upcoming_none` where nothing is going to be billed.
        """
        subscription_id, customer = text(params, "subscription"), text(params, "customer")
        if subscription_id is None and customer is None:
            raise missing_parameter("subscription")
        subscription = next(
            (
                each
                for each in reversed(self.account.subscriptions.objects.values())
                if each["status"] not in ENDED_STATUSES
                and subscription_id in (None, each["id"])
                and customer in (None, each["customer"])
            ),
            None,
        )
        if subscription is None:
            raise ApiError(404, "No upcoming invoices for customer: none", code="invoice_upcoming_none")
        items = subscription["items"]["data"]
        start, end = items[0]["current_period_start"], items[0]["current_period_end"]
        with self.account.on_clock(subscription["test_clock"]):
            invoice = self._new(subscription, start, end, "upcoming")
        self._price_draft(invoice)
        invoice["id"] = "upcoming_" + invoice["id"]
        return copied(invoice)

    # --- what tests ask for

    def is_final(self, customer_id: str, moment: int) -> bool:
        """Say whether a moment's usage of a customer is on an invoice that is no draft any more."""
        return any(
            invoice["customer"] == customer_id
            and invoice["status"] != "draft"
            and invoice["period_start"] <= moment < invoice["period_end"]
            for invoice in self.objects.values()
        )

    def billed_quantities(self, customer_id: str, event_name: str) -> dict[str, int]:
        """Return what each invoice of a customer bills for a meter: `{invoice id: quantity}`, oldest first."""
        meter = self.account.meters.by_name.get(event_name)
        quantities = {}
        for invoice in self.objects.values():
            if meter is not None and invoice["customer"] == customer_id:
                self._price_draft(invoice)
                quantities[invoice["id"]] = quantity_of_meter(self.account, invoice, meter["id"])
        return quantities
