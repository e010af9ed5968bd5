"""Subscriptions: https://docs.stripe.com/api/subscriptions, and how they live through their periods."""

from __future__ import annotations

from stripe_simulator.checkout_options import END_BEHAVIORS
from stripe_simulator.errors import ApiError, missing_parameter
from stripe_simulator.invoice_lines import costs_in_advance
from stripe_simulator.new_objects import NEW_SUBSCRIPTION
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
from stripe_simulator.resources import Resource, StripeObject, copied, on_its_clock, page, synchronized
from stripe_simulator.subscription_cycle import (
    ENDED_STATUSES,
    bill_last_period,
    end,
    expire_if_incomplete,
    schedule_next,
)
from stripe_simulator.subscription_items import (
    add_item,
    begin_period,
    current_period_end,
    update_item,
)

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


@synchronized
class Subscriptions(Resource):
    """The account's subscriptions, renewed, ended, paused and canceled with the events that Stripe emits."""

    resource_name = "subscription"

    def create(self, params: Params) -> StripeObject:
        """Create a subscription and its first invoice, if it costs anything in advance.

        It is `active`, `trialing` with `trial_end` or `trial_period_days`, or `incomplete` where the customer's first
        payment fails. `backdate_start_date` starts its period in the past.

        Raises:
            ApiError: 400 for an unknown customer or price.
        """
        customer = str(required(params, "customer"))
        self.account.customers.require(customer, "customer")
        with self.account.on_clock(self.account.clock_of(customer)):
            return self._create(customer, params)

    def _create(self, customer: str, params: Params) -> StripeObject:
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
            add_item(self.account, subscription, entry, f"items[{position}]", start, trial_end)
        self.objects[subscription["id"]] = subscription
        due = trial_end is None and costs_in_advance(subscription)
        if due and not self.account.customers.pays(customer):
            subscription["status"] = "incomplete"
            expire_if_incomplete(self.account, subscription)
        self.account.events.emit("customer.subscription.created", subscription)
        self.account.invoice_drafts.first(subscription)
        schedule_next(self.account, subscription)
        return copied(subscription)

    def _new(self, customer: str, start: int, trial_end: int | None, params: Params) -> StripeObject:
        subscription = copied(NEW_SUBSCRIPTION)
        behavior = one_of(
            mapping(mapping(params, "trial_settings"), "end_behavior"), "missing_payment_method", END_BEHAVIORS
        )
        if behavior:
            subscription["trial_settings"] = {"end_behavior": {"missing_payment_method": behavior}}
        if boolean(mapping(params, "automatic_tax"), "enabled"):
            subscription["automatic_tax"] |= {"enabled": True, "liability": {"type": "self"}}
        return subscription | {
            "id": self.account.new_id("sub", 24),
            "billing_cycle_anchor": trial_end or start,
            "cancel_at": integer(params, "cancel_at"),
            "cancel_at_period_end": boolean(params, "cancel_at_period_end") or False,
            "created": int(self.account.now()),
            "customer": customer,
            "description": text(params, "description"),
            "metadata": merged_metadata({}, params),
            "start_date": start,
            "status": "trialing" if trial_end else "active",
            "test_clock": self.account.clock_of(customer),
            "trial_end": trial_end,
            "trial_start": start if trial_end else None,
        }

    def retrieve(self, subscription_id: str) -> StripeObject:
        """Return a subscription, or raise a 404; ended ones stay retrievable."""
        return copied(self._find(subscription_id))

    def list(self, params: Params) -> StripeObject:
        """List subscriptions, newest first, by `customer`, `price` and `status`.

        Without `status` the canceled ones are left out; `all` shows every one, `ended` only ended ones. Those of a
        test clock are listed by their `customer` or `test_clock` only.
        """
        customer, price, clock = text(params, "customer"), text(params, "price"), text(params, "test_clock")
        status = one_of(params, "status", (*STATUSES, "all", "ended"))
        page_limit(params)

        def wanted(subscription: StripeObject) -> bool:
            if status is None:
                shown = subscription["status"] not in ENDED_STATUSES
            elif status == "ended":
                shown = subscription["status"] in ENDED_STATUSES
            else:
                shown = status in ("all", subscription["status"])
            if clock is not None or customer is None:
                shown = shown and subscription["test_clock"] == clock
            prices = [item["price"]["id"] for item in subscription["items"]["data"]]
            return shown and customer in (None, subscription["customer"]) and (price is None or price in prices)

        matching = [subscription for subscription in reversed(self.objects.values()) if wanted(subscription)]
        return copied(page(matching, params, URL))

    @on_its_clock
    def update(self, subscription_id: str, params: Params) -> StripeObject:
        """Change `cancel_at_period_end`, `cancel_at`, `pause_collection`, `metadata`, `description`, `items`.

        Raises:
            ApiError: 404 for an unknown one; 400 for one that has ended (only its metadata may change then).
        """
        subscription = self._find(subscription_id)
        if subscription["status"] in ENDED_STATUSES and set(params) - {"metadata", "expand", "cancellation_details"}:
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
            subscription["cancel_at"] = current_period_end(subscription) if ends else None
            subscription["canceled_at"] = int(self.account.now()) if ends else None
            subscription["cancellation_details"]["reason"] = "cancellation_requested" if ends else None
        elif "cancel_at" in params:
            subscription["cancel_at"] = integer(params, "cancel_at")
            subscription["canceled_at"] = int(self.account.now()) if subscription["cancel_at"] else None
        self._update_items(subscription, params)
        schedule_next(self.account, subscription)
        self.account.events.emit("customer.subscription.updated", subscription, before)
        return copied(subscription)

    def _update_items(self, subscription: StripeObject, params: Params) -> None:
        proration = one_of(params, "proration_behavior", ("always_invoice", "create_prorations", "none"))
        entries = list(enumerate(sequence(params, "items")))
        # An item may be removed by the call that adds the next one.
        entries.sort(key=lambda entry: isinstance(entry[1], dict) and boolean(entry[1], "deleted") is True)
        for position, entry in entries:
            update_item(self.account, subscription, entry, f"items[{position}]", is_billed=proration != "none")
        if proration == "always_invoice":
            self.account.invoice_drafts.for_update(subscription)

    def _pause_collection(self, subscription: StripeObject, params: Params) -> None:
        pause = mapping(params, "pause_collection")
        if pause and not subscription["pause_collection"]:
            self.account.invoice_drafts.for_pause(subscription)
        behaviors = ("keep_as_draft", "mark_uncollectible", "void")
        subscription["pause_collection"] = (
            {"behavior": one_of(pause, "behavior", behaviors), "resumes_at": integer(pause, "resumes_at")}
            if pause
            else None
        )

    @on_its_clock
    def cancel(
        self, subscription_id: str, params: Params | None = None, reason: str = "cancellation_requested"
    ) -> StripeObject:
        """End a subscription at once; with `invoice_now` its usage so far is billed, else never.

        Raises:
            ApiError: 404 for one that is unknown or has ended already.
        """
        subscription = self._find(subscription_id)
        if subscription["status"] in ENDED_STATUSES:
            raise ApiError(404, f"No such subscription: '{subscription_id}'", code="resource_missing", param="id")
        if boolean(params or {}, "invoice_now"):
            bill_last_period(self.account, subscription)
        end(self.account, subscription, reason)
        return copied(subscription)

    def cancel_all_of(self, customer_id: str) -> None:
        """End every living subscription of a customer, as deleting the customer does."""
        for subscription in self.objects.values():
            if subscription["customer"] == customer_id and subscription["status"] not in ENDED_STATUSES:
                end(self.account, subscription, "cancellation_requested")

    @on_its_clock
    def pause(self, subscription_id: str, params: Params | None = None) -> StripeObject:
        """Make a subscription `paused`, as Stripe does when a trial ends without a payment method.

        The usage until now is billed, unless `bill_for[outstanding_usage_through][type]` is `none`.
        """
        subscription = self._find(subscription_id)
        through = mapping(mapping(params or {}, "bill_for"), "outstanding_usage_through")
        if one_of(through, "type", ("none", "now")) != "none":
            self.account.invoice_drafts.for_pause(subscription)
        subscription["status"] = "paused"
        self.account.events.emit("customer.subscription.paused", subscription)
        return copied(subscription)

    @on_its_clock
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
        begin_period(subscription, int(self.account.now()))
        schedule_next(self.account, subscription)
        self.account.events.emit("customer.subscription.resumed", subscription)
        self.account.events.emit("customer.subscription.updated", subscription, before)
        return copied(subscription)

    @on_its_clock
    def set_status(self, subscription_id: str, status: str, *, emit: bool = True) -> StripeObject:
        """Put a subscription into any status, with the event Stripe would emit, or silently.

        Raises:
            ValueError: Stripe has no such status.
        """
        if status not in STATUSES:
            raise ValueError(f"Stripe has no subscription status {status}")
        subscription = self._find(subscription_id)
        before = copied(subscription)
        if status in ENDED_STATUSES:
            subscription["ended_at"] = subscription["ended_at"] or int(self.account.now())
        subscription["status"] = status
        if emit and status == "canceled":
            self.account.events.emit("customer.subscription.deleted", subscription)
        elif emit:
            self.account.events.emit("customer.subscription.updated", subscription, before)
        return copied(subscription)

    @on_its_clock
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
