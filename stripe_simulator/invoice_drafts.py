"""The invoices that subscriptions make: what each bills, and when a draft is finalised by itself.

https://docs.stripe.com/billing/invoices/subscription: made when a period ends, a draft for about an hour (usage of the
period that arrives meanwhile is still on it), then finalised and paid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.invoice_lines import Bill, invoice_item_line, set_first_lines, set_period_lines, usage_line
from stripe_simulator.invoice_states import finalize, write_off
from stripe_simulator.new_objects import NEW_INVOICE
from stripe_simulator.resources import StripeObject, copied
from stripe_simulator.subscription_items import current_period_end, current_period_start

if TYPE_CHECKING:
    from stripe_simulator.account import Account

_LONGEST_WAIT_SECONDS = 72 * 3600
_LOOK_AGAIN_SECONDS = 60
_UNBILLED_STATUSES = ("trialing", "paused")


class InvoiceDrafts:
    """Makes the account's invoices. A draft's lines follow its period's usage; finalising freezes them."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._bills: dict[str, Bill] = {}
        self._unbilled_since: dict[str, int] = {}
        self._pending: dict[str, list[StripeObject]] = {}
        self._created_events: dict[str, str] = {}

    # --- what subscriptions make

    def first(self, subscription: StripeObject) -> None:
        """Make, finalise and try to collect the invoice of a new subscription, unless all of it is billed by usage."""
        at = subscription["start_date"]
        invoice, bill = self._new(subscription, at, at, "subscription_create"), self._bill(subscription)
        set_first_lines(invoice, subscription, bill)
        if self._keep(invoice, bill, subscription):
            finalize(self.account, invoice)

    def for_period(
        self, subscription: StripeObject, start: int, end: int, *, free_usage: bool = False, is_last: bool = False
    ) -> None:
        """Make the draft that bills a period's usage; it is finalised after `Settings.invoice_draft_seconds`.

        Where there is nothing to bill, as Stripe's flexible billing has it, there is none. With `free_usage` the
        usage costs nothing, as in a trial; `is_last` is the period in which the subscription ends.
        """
        bill = self._bill(subscription)
        bill.free_usage, bill.is_last = free_usage, is_last
        self._draft(subscription, start, end, "subscription_cycle", bill)

    def for_pause(self, subscription: StripeObject) -> None:
        """Make the draft that bills the usage until now of a subscription that is about to be paused."""
        now = int(self.account.now())
        if subscription["status"] != "trialing":
            bill = self._bill(subscription)
            bill.usage_only = True
            self._draft(subscription, current_period_start(subscription), now, "subscription_update", bill)
            self._unbilled_since[subscription["id"]] = now

    def for_update(self, subscription: StripeObject) -> None:
        """Bill at once what waits for the next invoice."""
        bill = Bill([], subscription["start_date"], self._pending.get(subscription["id"], []))
        if bill.pending:
            start = min(line["period"]["start"] for line in bill.pending)
            invoice = self._new(subscription, start, int(self.account.now()), "subscription_update")
            set_period_lines(self.account, invoice, bill)
            self._keep(invoice, bill, subscription)
            finalize(self.account, invoice)

    def begin_item(self, item: StripeObject) -> None:
        """Bill the usage of an item from now on: it has a new price, or is new itself."""
        self._unbilled_since[item["id"]] = int(self.account.now())

    def end_item(self, subscription: StripeObject, item: StripeObject) -> None:
        """Have the usage of a metered item until now billed by the next invoice, at the price that it has still.

        Usage that arrives later is not on it. That of a trial or a pause is not billed.
        """
        now, known = int(self.account.now()), self._unbilled_since
        start = max(current_period_start(subscription), known.get(subscription["id"], 0), known.get(item["id"], 0))
        if item["price"]["recurring"]["usage_type"] == "metered" and subscription["status"] not in _UNBILLED_STATUSES:
            bill = Bill([], subscription["start_date"])
            line = usage_line(self.account, subscription["customer"], item, (start, now), bill)
            if line["quantity"]:
                pending = self._pending.setdefault(subscription["id"], [])
                pending.insert(0, invoice_item_line(self.account, line))

    def preview(self, subscription: StripeObject) -> StripeObject:
        """Return the invoice of a subscription's current period as it would be now; it is not kept."""
        start, end = current_period_start(subscription), current_period_end(subscription)
        with self.account.on_clock(subscription["test_clock"]):
            invoice = self._new(subscription, start, end, "upcoming")
        set_period_lines(self.account, invoice, self._bill(subscription))
        invoice["id"] = "upcoming_" + invoice["id"]
        return invoice

    def _bill(self, subscription: StripeObject) -> Bill:
        items = [(copied(item), self._unbilled_since.get(item["id"], 0)) for item in subscription["items"]["data"]]
        return Bill(items, subscription["start_date"], self._pending.get(subscription["id"], []))

    def _draft(self, subscription: StripeObject, start: int, end: int, reason: str, bill: Bill) -> None:
        start = max(start, self._unbilled_since.get(subscription["id"], start))
        start = min([start, *(line["period"]["start"] for line in bill.pending)])
        invoice = self._new(subscription, start, end, reason)
        set_period_lines(self.account, invoice, bill)
        pause = subscription["pause_collection"] if reason == "subscription_cycle" else None
        if pause and pause["behavior"] == "keep_as_draft":
            invoice["auto_advance"] = False
        else:
            invoice["automatically_finalizes_at"] = invoice["created"] + self.account.settings.invoice_draft_seconds
        if self._keep(invoice, bill, subscription) and invoice["auto_advance"]:
            self._close_at(invoice, invoice["automatically_finalizes_at"])

    def _keep(self, invoice: StripeObject, bill: Bill, subscription: StripeObject) -> bool:
        """Keep an invoice that bills anything, and say whether it does."""
        if bill.lines:
            self._bills[invoice["id"]] = bill
            self._pending.pop(subscription["id"], None)
            self.account.invoices.objects[invoice["id"]] = invoice
            subscription["latest_invoice"] = invoice["id"]
            self._created_events[invoice["id"]] = self.account.events.emit("invoice.created", invoice)
        return bool(bill.lines)

    def _new(self, subscription: StripeObject, start: int, end: int, reason: str) -> StripeObject:
        customer = self.account.customers.objects.get(subscription["customer"], {})
        return copied(NEW_INVOICE) | {
            "id": self.account.new_id("in", 24),
            "billing_reason": reason,
            "created": int(self.account.now()),
            "currency": subscription["currency"],
            "customer": subscription["customer"],
            "customer_email": customer.get("email"),
            "customer_name": customer.get("name"),
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

    # --- until a draft is closed

    def price(self, invoice: StripeObject) -> None:
        """Set a draft's lines to what its period's usage is now; other invoices keep theirs."""
        if invoice["status"] == "draft":
            set_period_lines(self.account, invoice, self._bills[invoice["id"]])

    def lines(self, invoice_id: str) -> list[StripeObject]:
        """Return all lines of an invoice, which itself shows the first ten."""
        return self._bills[invoice_id].lines

    def is_free(self, invoice_id: str) -> bool:
        """Say whether an invoice has the usage of a trial, which costs nothing."""
        return self._bills[invoice_id].free_usage

    def schedule(self, invoice: StripeObject, at: int | None) -> None:
        """Have a draft finalised at a moment and at no other, whatever becomes of its webhooks, or not by itself."""
        self._created_events.pop(invoice["id"], None)
        if at is None:
            invoice["automatically_finalizes_at"] = None
        else:
            self._close_at(invoice, at)

    def _close_at(self, invoice: StripeObject, at: int) -> None:
        invoice["automatically_finalizes_at"] = at
        self.account.schedule(at, lambda: self._reach(invoice, at))

    def _reach(self, invoice: StripeObject, at: int) -> None:
        """Close a draft at the time that was scheduled last, unless it has to wait for its webhooks."""
        if invoice["status"] == "draft" and invoice["automatically_finalizes_at"] == at:
            until = self._held_until(invoice)
            if until > at:
                self._close_at(invoice, until)
                self._look_again(invoice, until)
            else:
                self._close(invoice)

    def _held_until(self, invoice: StripeObject) -> int:
        """Return until when a draft waits for its webhooks at the longest, as far as is known now."""
        event_id, settings = self._created_events.get(invoice["id"]), self.account.settings
        if event_id is None or not settings.draft_waits_for_webhook or invoice["test_clock"]:
            return 0
        accepted, latest = self.account.webhooks.accepted_at(event_id), int(invoice["created"]) + _LONGEST_WAIT_SECONDS
        return latest if accepted is None else min(latest, int(accepted) + settings.invoice_draft_seconds)

    def _look_again(self, invoice: StripeObject, expected: int) -> None:
        """Look every minute whether the webhooks were accepted, and the draft closes earlier than was expected."""

        def look() -> None:
            if invoice["status"] == "draft" and invoice["automatically_finalizes_at"] == expected:
                until = self._held_until(invoice)
                if until < expected:
                    self._close_at(invoice, max(until, int(self.account.now())))
                else:
                    self._look_again(invoice, expected)

        self.account.schedule(self.account.now() + _LOOK_AGAIN_SECONDS, look)

    def _close(self, invoice: StripeObject) -> None:
        """Finalise a draft; a pause may have it written off instead of collected."""
        self.price(invoice)
        subscription_id = invoice["parent"]["subscription_details"]["subscription"]
        pause = self.account.subscriptions.objects[subscription_id]["pause_collection"]
        # The invoice of an update bills what was before the pause.
        if pause and pause["behavior"] != "keep_as_draft" and invoice["billing_reason"] == "subscription_cycle":
            write_off(self.account, invoice, "void" if pause["behavior"] == "void" else "uncollectible")
        else:
            finalize(self.account, invoice)
