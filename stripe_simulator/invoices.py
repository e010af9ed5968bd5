"""Invoices: https://docs.stripe.com/api/invoices. How subscriptions make them: `invoice_drafts.py`."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NoReturn

from stripe_simulator.errors import ApiError, invalid_parameter, missing_parameter
from stripe_simulator.invoice_lines import quantity_of_meter
from stripe_simulator.invoice_states import collect, finalize, write_off
from stripe_simulator.parameters import (
    Params,
    boolean,
    in_range,
    integer,
    merged_metadata,
    one_of,
    page_limit,
    text,
)
from stripe_simulator.resources import Resource, StripeObject, copied, on_its_clock, page, synchronized
from stripe_simulator.subscription_cycle import ENDED_STATUSES

if TYPE_CHECKING:
    from stripe_simulator.account import Account

URL = "/v1/invoices"
_FURTHEST_SECONDS = 5 * 366 * 86400
_STATUSES = ("draft", "open", "paid", "uncollectible", "void")


@synchronized
class Invoices(Resource):
    """The account's invoices; `numbers` are those of the finalised ones."""

    resource_name = "invoice"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.numbers = count(1)

    # --- the API

    def retrieve(self, invoice_id: str) -> StripeObject:
        """Return an invoice, a draft with its usage until now, or raise a 404."""
        invoice = self._find(invoice_id)
        self.account.invoice_drafts.price(invoice)
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
            self.account.invoice_drafts.price(invoice)
        return copied(result)

    @on_its_clock
    def update(self, invoice_id: str, params: Params) -> StripeObject:
        """Change `metadata`, `description`, `auto_advance`, `automatically_finalizes_at`.

        An invoice that is no draft keeps its description and the time at which it was finalised; one that is not open
        either never advances by itself.

        Raises:
            ApiError: 400 for a change that its status does not allow, or for a time that is not in the future.
        """
        invoice = self._find(invoice_id)
        drafts = self.account.invoice_drafts
        drafts.price(invoice)
        before = copied(invoice)
        self._check_change(invoice, params)
        advance, at = boolean(params, "auto_advance"), integer(params, "automatically_finalizes_at")
        if "description" in params:
            invoice["description"] = text(params, "description")
        invoice["metadata"] = merged_metadata(invoice["metadata"], params)
        invoice["auto_advance"] = invoice["auto_advance"] if advance is None else advance
        if at is not None:
            drafts.schedule(invoice, at)
        elif not invoice["auto_advance"]:
            drafts.schedule(invoice, None)
        elif invoice["status"] == "draft" and invoice["automatically_finalizes_at"] is None:
            drafts.schedule(invoice, int(self.account.now()) + self.account.settings.invoice_draft_seconds)
        self.account.events.emit("invoice.updated", invoice, before)
        return copied(invoice)

    def _check_change(self, invoice: StripeObject, params: Params) -> None:
        """Raise a 400 for what the invoice's status does not allow, or a time that Stripe would not take."""
        advance, at = boolean(params, "auto_advance"), integer(params, "automatically_finalizes_at")
        is_draft, may_advance = invoice["status"] == "draft", invoice["status"] in ("draft", "open")
        of_drafts = {"description", "automatically_finalizes_at"} & params.keys()
        if (of_drafts and not is_draft) or (advance is not None and not may_advance):
            raise ApiError(400, "Finalized invoices can't be updated in this way", saved=True)
        if at is None:
            return
        now = self.account.now()
        if not now < at <= now + _FURTHEST_SECONDS:
            message = "The finalization time must be in the future, by at most five years."
            raise invalid_parameter("automatically_finalizes_at", message)
        if not (invoice["auto_advance"] if advance is None else advance):
            message = "Only an invoice with `auto_advance` can be finalized automatically."
            raise invalid_parameter("automatically_finalizes_at", message)

    def lines(self, invoice_id: str, params: Params) -> StripeObject:
        """List an invoice's lines in the order in which the invoice has them, a draft's with its usage until now."""
        self.account.invoice_drafts.price(self._find(invoice_id))
        lines = self.account.invoice_drafts.lines(invoice_id)
        return copied(page(lines, params, f"{URL}/{invoice_id}/lines"))

    @on_its_clock
    def finalize(self, invoice_id: str, params: Params | None = None) -> StripeObject:
        """Finalise a draft now and try to collect it, unless `auto_advance` is false or was before.

        Raises:
            ApiError: 400 where it is no draft.
        """
        invoice = self._find(invoice_id)
        if invoice["status"] != "draft":
            raise ApiError(400, "This invoice is already finalized, you can't re-finalize a non-draft invoice.")
        self.account.invoice_drafts.price(invoice)
        advance = boolean(params or {}, "auto_advance")
        invoice["auto_advance"] = invoice["auto_advance"] if advance is None else advance
        finalize(self.account, invoice)
        return copied(invoice)

    @on_its_clock
    def pay(self, invoice_id: str) -> StripeObject:
        """Try again to collect an open or uncollectible invoice.

        Raises:
            ApiError: 400 where it is neither; 402 where the payment fails.
        """
        invoice = self._find(invoice_id)
        if invoice["status"] not in ("open", "uncollectible"):
            raise ApiError(400, f"Invoice is {invoice['status']} and cannot be paid.")
        collect(self.account, invoice)
        if invoice["status"] != "paid":
            raise ApiError(402, "Your card was declined.", type="card_error", code="card_declined", saved=True)
        return copied(invoice)

    @on_its_clock
    def void(self, invoice_id: str) -> StripeObject:
        """Void an open or uncollectible invoice.

        Raises:
            ApiError: 400 where it is neither.
        """
        return self._written_off(invoice_id, "void", ("open", "uncollectible"))

    @on_its_clock
    def mark_uncollectible(self, invoice_id: str) -> StripeObject:
        """Write off an open invoice; it may still be paid, or voided.

        Raises:
            ApiError: 400 where it is not open.
        """
        return self._written_off(invoice_id, "uncollectible", ("open",))

    def _written_off(self, invoice_id: str, status: str, allowed: tuple[str, ...]) -> StripeObject:
        invoice = self._find(invoice_id)
        if invoice["status"] not in allowed:
            message = (
                f"This invoice is {invoice['status']}: only one that is {' or '.join(allowed)} can become {status}."
            )
            raise ApiError(400, message, saved=True)
        write_off(self.account, invoice, status)
        return copied(invoice)

    def delete(self, invoice_id: str) -> NoReturn:
        """Refuse to delete an invoice: Stripe deletes drafts, but none that a subscription made, as all here are.

        Raises:
            ApiError: 400, or 404 for an unknown one.
        """
        if self._find(invoice_id)["status"] == "draft":
            raise ApiError(400, "You can't delete invoices created by subscriptions.")
        raise ApiError(400, "You can only delete draft invoices.")

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
        return copied(self.account.invoice_drafts.preview(subscription))

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
        drafts, quantities = self.account.invoice_drafts, {}
        for invoice in self.objects.values():
            if meter is not None and invoice["customer"] == customer_id:
                drafts.price(invoice)
                quantities[invoice["id"]] = quantity_of_meter(self.account, drafts.lines(invoice["id"]), meter["id"])
        return quantities

    def billed(self, customer_id: str, event_name: str) -> int:
        """Return what a customer was charged for a meter: the sum over the invoices that are final and not void.

        The usage of a trial costs nothing and is left out.
        """
        return sum(
            quantity
            for invoice_id, quantity in self.billed_quantities(customer_id, event_name).items()
            if self.objects[invoice_id]["status"] not in ("draft", "void")
            and not self.account.invoice_drafts.is_free(invoice_id)
        )
