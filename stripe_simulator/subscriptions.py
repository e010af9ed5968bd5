"""Subscriptions: https://docs.stripe.com/api/subscriptions, and how they live through their periods."""

from __future__ import annotations

from typing import Any

from stripe_simulator.errors import ApiError, invalid_parameter, missing_parameter
from stripe_simulator.parameters import (
    Params,
    boolean,
    integer,
    mapping,
    merged_metadata,
    one_of,
    page_limit,
    required,
    sequence,
    text,
)
from stripe_simulator.part import Part, StripeObject, copied, page, synchronized
from stripe_simulator.periods import period_end

URL = "/v1/subscriptions"
STATUSES = (
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "canceled",
    "unpaid",
    "paused",
)
INCOMPLETE_SECONDS = 23 * 3600
"""How long Stripe waits for the first payment: https://docs.stripe.com/billing/subscriptions/overview."""
_ENDED = ("canceled", "incomplete_expired")


@synchronized
class Subscriptions(Part):
    """Keep subscriptions and renew, end, pause and cancel them, with the events Stripe emits."""

    word = "subscription"

    def create(self, params: Params) -> StripeObject:
        """Create a subscription and its first invoice.

        It is `active`, `trialing` with `trial_end` or `trial_period_days`, or `incomplete` where the customer's first
        payment fails. `backdate_start_date` starts its period in the past.

        Raises:
            ApiError: 400 for an unknown customer or price.
        """
        customer = str(required(params, "customer"))
        self.account.customers.require(customer, "customer")
        entries = sequence(params, "items")
        if not entries:
            raise missing_parameter("items")
        now = int(self.account.now())
        start = integer(params, "backdate_start_date") or now
        trial_end = integer(params, "trial_end")
        if integer(params, "trial_period_days"):
            trial_end = now + 86400 * (integer(params, "trial_period_days") or 0)
        subscription = self._new(customer, start, trial_end, params)
        for position, entry in enumerate(entries):
            self._add_item(subscription, entry, f"items[{position}][price]", start, trial_end)
        self.objects[subscription["id"]] = subscription
        due = trial_end is None and self.account.invoices.due_in_advance(subscription)
        if due and not self.account.customers.pays(customer):
            subscription["status"] = "incomplete"
            self.account.schedule(now + INCOMPLETE_SECONDS, lambda: self._give_up(subscription))
        self.account.events.emit("customer.subscription.created", subscription)
        subscription["latest_invoice"] = self.account.invoices.first(subscription)["id"]
        self._plan(subscription)
        return copied(subscription)

    def _give_up(self, subscription: StripeObject) -> None:
        if subscription["status"] == "incomplete":
            before = copied(subscription)
            subscription.update(status="incomplete_expired", ended_at=int(self.account.now()))
            self.account.events.emit("customer.subscription.updated", subscription, before)

    def _new(self, customer: str, start: int, trial_end: int | None, params: Params) -> StripeObject:
        return {
            "id": self.account.new_id("sub", 24),
            "object": "subscription",
            "application": None,
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": trial_end or start,
            "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
            "cancel_at": integer(params, "cancel_at"),
            "cancel_at_period_end": boolean(params, "cancel_at_period_end") or False,
            "canceled_at": None,
            "cancellation_details": {"comment": None, "feedback": None, "reason": None},
            "collection_method": "charge_automatically",
            "created": int(self.account.now()),
            "currency": "usd",
            "customer": customer,
            "days_until_due": None,
            "default_payment_method": None,
            "default_source": None,
            "default_tax_rates": [],
            "description": text(params, "description"),
            "discounts": [],
            "ended_at": None,
            "items": {"object": "list", "data": [], "has_more": False, "url": ""},
            "latest_invoice": None,
            "livemode": False,
            "metadata": merged_metadata({}, params),
            "pause_collection": None,
            "pending_setup_intent": None,
            "pending_update": None,
            "schedule": None,
            "start_date": start,
            "status": "trialing" if trial_end else "active",
            "test_clock": None,
            "trial_end": trial_end,
            "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
            "trial_start": start if trial_end else None,
        }

    def _add_item(self, subscription: StripeObject, entry: Any, param: str, start: int, end: int | None = None) -> None:
        if not isinstance(entry, dict):
            raise invalid_parameter("items", "Invalid array", "parameter_invalid_array")
        price = self.account.prices.require(str(required(entry, "price")), param)
        if price["recurring"] is None:
            raise invalid_parameter(param, "The price specified is set to `type=one_time`; it must be recurring.")
        recurring = price["recurring"]
        item: StripeObject = {
            "id": self.account.new_id("si"),
            "object": "subscription_item",
            "created": int(self.account.now()),
            "current_period_start": start,
            "current_period_end": end or period_end(start, start, recurring["interval"], recurring["interval_count"]),
            "discounts": [],
            "metadata": merged_metadata({}, entry),
            "price": price,
            "subscription": subscription["id"],
            "tax_rates": [],
        }
        if recurring["usage_type"] == "licensed":
            item["quantity"] = integer(entry, "quantity") or 1
        subscription["currency"] = price["currency"]
        subscription["items"]["data"].append(item)
        subscription["items"]["url"] = f"/v1/subscription_items?subscription={subscription['id']}"

    def retrieve(self, subscription_id: str) -> StripeObject:
        """Return a subscription, or raise a 404; ended ones stay retrievable."""
        return copied(self._find(subscription_id))

    def list(self, params: Params) -> StripeObject:
        """List subscriptions, newest first, by `customer`, `price` and `status`.

        Without `status` the canceled ones are left out; `all` shows every one, `ended` only ended ones.
        """
        customer, price = text(params, "customer"), text(params, "price")
        status = one_of(params, "status", (*STATUSES, "all", "ended"))
        page_limit(params)

        def wanted(subscription: StripeObject) -> bool:
            if status is None:
                shown = subscription["status"] not in _ENDED
            elif status == "ended":
                shown = subscription["status"] in _ENDED
            else:
                shown = status in ("all", subscription["status"])
            prices = [item["price"]["id"] for item in subscription["items"]["data"]]
            return shown and customer in (None, subscription["customer"]) and (price is None or price in prices)

        found = [subscription for subscription in reversed(self.objects.values()) if wanted(subscription)]
        return copied(page(found, params, URL))

    def update(self, subscription_id: str, params: Params) -> StripeObject:
        """Change `cancel_at_period_end`, `cancel_at`, `pause_collection`, `metadata`, `description`, `items`.

        Raises:
            ApiError: 404 for an unknown one; 400 for one that has ended (only its metadata may change then).
        """
        subscription = self._find(subscription_id)
        if subscription["status"] in _ENDED and set(params) - {"metadata", "expand", "cancellation_details"}:
            raise ApiError(400, "A canceled subscription can only update its cancellation_details and metadata.")
        before = copied(subscription)
        subscription["metadata"] = merged_metadata(subscription["metadata"], params)
        if "description" in params:
            subscription["description"] = text(params, "description")
        if "pause_collection" in params:
            self._pause_collection(subscription, params)
        ends = boolean(params, "cancel_at_period_end")
        if ends is not None:
            subscription["cancel_at_period_end"] = ends
            subscription["cancel_at"] = self._period_end(subscription) if ends else None
            subscription["canceled_at"] = int(self.account.now()) if ends else None
            subscription["cancellation_details"]["reason"] = "cancellation_requested" if ends else None
        elif "cancel_at" in params:
            subscription["cancel_at"] = integer(params, "cancel_at")
            subscription["canceled_at"] = int(self.account.now()) if subscription["cancel_at"] else None
        for position, entry in enumerate(sequence(params, "items")):
            self._update_item(subscription, entry, f"items[{position}]")
        self._plan(subscription)
        self.account.events.emit("customer.subscription.updated", subscription, before)
        return copied(subscription)

    def _pause_collection(self, subscription: StripeObject, params: Params) -> None:
        pause = mapping(params, "pause_collection")
        behaviors = ("keep_as_draft", "mark_uncollectible", "void")
        subscription["pause_collection"] = (
            {"behavior": one_of(pause, "behavior", behaviors), "resumes_at": integer(pause, "resumes_at")}
            if pause
            else None
        )

    def _update_item(self, subscription: StripeObject, entry: Any, param: str) -> None:
        items = subscription["items"]["data"]
        item_id = text(entry, "id") if isinstance(entry, dict) else None
        if item_id is None:
            self._add_item(
                subscription,
                entry,
                f"{param}[price]",
                int(self.account.now()),
                self._period_end(subscription),
            )
            return
        item = next((item for item in items if item["id"] == item_id), None)
        if item is None:
            raise invalid_parameter(f"{param}[id]", f"No such subscription item: '{item_id}'", "resource_missing")
        if boolean(entry, "deleted"):
            if len(items) == 1:
                raise ApiError(400, "A subscription must have at least one active item.", param=f"{param}[deleted]")
            items.remove(item)
            return
        if text(entry, "price"):
            item["price"] = self.account.prices.require(str(entry["price"]), f"{param}[price]")
        if integer(entry, "quantity") is not None:
            item["quantity"] = integer(entry, "quantity")

    def cancel(
        self, subscription_id: str, params: Params | None = None, reason: str = "cancellation_requested"
    ) -> StripeObject:
        """End a subscription at once; with `invoice_now` its usage so far is billed.

        Raises:
            ApiError: 404 for one that is unknown or has ended already.
        """
        subscription = self._find(subscription_id)
        if subscription["status"] in _ENDED:
            raise ApiError(404, f"No such subscription: '{subscription_id}'", code="resource_missing", param="id")
        if boolean(params or {}, "invoice_now"):
            now = int(self.account.now())
            self.account.invoices.for_period(subscription, self._period_start(subscription), now)
        self._end(subscription, reason)
        return copied(subscription)

    def cancel_all_of(self, customer_id: str) -> None:
        """End every living subscription of a customer, as deleting the customer does."""
        for subscription in self.objects.values():
            if subscription["customer"] == customer_id and subscription["status"] not in _ENDED:
                self._end(subscription, "cancellation_requested")

    def pause(self, subscription_id: str) -> StripeObject:
        """Make a subscription `paused`, as Stripe does when a trial ends without a payment method."""
        subscription = self._find(subscription_id)
        subscription["status"] = "paused"
        self.account.events.emit("customer.subscription.paused", subscription)
        return copied(subscription)

    def resume(self, subscription_id: str) -> StripeObject:
        """Make a paused subscription active; its period starts anew.

        Raises:
            ApiError: 400 where it is not paused.
        """
        subscription = self._find(subscription_id)
        if subscription["status"] != "paused":
            raise ApiError(400, "This subscription is not paused, so it cannot be resumed.")
        before = copied(subscription)
        subscription["status"] = "active"
        subscription["billing_cycle_anchor"] = int(self.account.now())
        self._next_period(subscription, int(self.account.now()))
        self._plan(subscription)
        self.account.events.emit("customer.subscription.resumed", subscription)
        self.account.events.emit("customer.subscription.updated", subscription, before)
        return copied(subscription)

    def set_status(self, subscription_id: str, status: str, *, emit: bool = True) -> StripeObject:
        """Put a subscription into any status, with the event Stripe would emit, or silently.

        Raises:
            ValueError: Stripe has no such status.
        """
        if status not in STATUSES:
            raise ValueError(f"Stripe has no subscription status {status}")
        subscription = self._find(subscription_id)
        before = copied(subscription)
        if status in _ENDED:
            subscription["ended_at"] = subscription["ended_at"] or int(self.account.now())
        subscription["status"] = status
        if emit and status == "canceled":
            self.account.events.emit("customer.subscription.deleted", subscription)
        elif emit:
            self.account.events.emit("customer.subscription.updated", subscription, before)
        return copied(subscription)

    def payment_result(self, subscription_id: str, *, paid: bool) -> None:
        """Follow an invoice's payment: a failure makes it `past_due`, a success `active` again."""
        subscription = self.objects.get(subscription_id)
        if subscription is None or subscription["status"] not in (
            "active",
            "past_due",
            "incomplete",
            "unpaid",
        ):
            return
        before = copied(subscription)
        if paid:
            subscription["status"] = "active"
        elif subscription["status"] == "active":
            subscription["status"] = "past_due"
        self.account.events.emit("customer.subscription.updated", subscription, before)

    # --- periods

    def _period_start(self, subscription: StripeObject) -> int:
        return max((item["current_period_start"] for item in subscription["items"]["data"]), default=0)

    def _period_end(self, subscription: StripeObject) -> int:
        return min((item["current_period_end"] for item in subscription["items"]["data"]), default=0)

    def _plan(self, subscription: StripeObject) -> None:
        """Schedule what happens next: the end of the period, or `cancel_at` before it."""
        moments = [self._period_end(subscription)]
        if subscription["cancel_at"]:
            moments.append(subscription["cancel_at"])
        at = min(moments)
        self.account.schedule(at, lambda: self._due(subscription, at))

    def _due(self, subscription: StripeObject, at: int) -> None:
        if subscription["status"] in (*_ENDED, "paused"):
            return
        if subscription["cancel_at"] is not None and subscription["cancel_at"] <= at:
            self._bill_until(subscription, at)
            self._end(subscription, "cancellation_requested")
        elif self._period_end(subscription) == at:
            self._renew(subscription, at)

    def _renew(self, subscription: StripeObject, at: int) -> None:
        before = copied(subscription)
        if subscription["cancel_at_period_end"]:
            self._bill_until(subscription, at)
            self._end(subscription, "cancellation_requested")
            return
        free = subscription["status"] == "trialing"
        if free:
            subscription["status"] = "active"
        start = self._period_start(subscription)
        self._next_period(subscription, at)
        invoice = self.account.invoices.for_period(subscription, start, at, free=free)
        subscription["latest_invoice"] = invoice["id"]
        self.account.events.emit("customer.subscription.updated", subscription, before)
        self._plan(subscription)

    def _bill_until(self, subscription: StripeObject, at: int) -> None:
        invoice = self.account.invoices.for_period(subscription, self._period_start(subscription), at)
        subscription["latest_invoice"] = invoice["id"]

    def _next_period(self, subscription: StripeObject, start: int) -> None:
        anchor = subscription["billing_cycle_anchor"]
        for item in subscription["items"]["data"]:
            recurring = item["price"]["recurring"]
            item["current_period_start"] = start
            item["current_period_end"] = period_end(start, anchor, recurring["interval"], recurring["interval_count"])

    def _end(self, subscription: StripeObject, reason: str) -> None:
        now = int(self.account.now())
        subscription["status"] = "canceled"
        subscription["canceled_at"] = subscription["canceled_at"] or now
        subscription["ended_at"] = now
        subscription["cancellation_details"]["reason"] = reason
        self.account.events.emit("customer.subscription.deleted", subscription)
