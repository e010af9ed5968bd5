"""Checkout sessions in subscription mode: https://docs.stripe.com/api/checkout/sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_simulator.checkout_options import collects_payment_method, keep_details, offered
from stripe_simulator.errors import ApiError, invalid_parameter, missing_parameter
from stripe_simulator.parameters import (
    Params,
    in_range,
    integer,
    mapping,
    merged_metadata,
    one_of,
    page_limit,
    required,
    sequence,
    text,
)
from stripe_simulator.resources import Resource, StripeObject, copied, page, synchronized

if TYPE_CHECKING:
    from stripe_simulator.account import Account

URL = "/v1/checkout/sessions"

_NEW_SESSION: StripeObject = {
    "object": "checkout.session",
    "adaptive_pricing": None,
    "after_expiration": None,
    "allow_promotion_codes": None,
    "allowed_payment_method_types": None,
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "billing_address_collection": None,
    "client_secret": None,
    "collected_information": None,
    "consent": None,
    "consent_collection": None,
    "currency_conversion": None,
    "custom_fields": [],
    "custom_text": {
        "after_submit": None,
        "shipping_address": None,
        "submit": None,
        "terms_of_service_acceptance": None,
    },
    "customer_account": None,
    "discounts": [],
    "integration_identifier": None,
    "invoice": None,
    "invoice_creation": None,
    "livemode": False,
    "locale": None,
    "managed_payments": None,
    "origin_context": None,
    "payment_intent": None,
    "payment_link": None,
    "payment_method_collection": "always",
    "payment_method_configuration_details": None,
    "payment_method_options": None,
    "payment_method_types": ["card"],
    "permissions": None,
    "recovered_from": None,
    "saved_payment_method_options": None,
    "setup_intent": None,
    "shipping_address_collection": None,
    "shipping_cost": None,
    "shipping_options": [],
    "status": "open",
    "submit_type": None,
    "subscription": None,
    "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    "ui_mode": "hosted_page",
    "wallet_options": None,
}
"""The fields that are the same in every new session."""
_PASSED_ON = ("metadata", "description", "trial_end", "trial_period_days", "trial_settings")
"""The fields of `subscription_data` that the subscription gets."""


@synchronized
class CheckoutSessions(Resource):
    """The account's checkout sessions; `complete` acts as the buyer."""

    resource_name = "checkout.session"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._line_items: dict[str, list[Params]] = {}
        self._subscription_data: dict[str, Params] = {}
        self._customer_updates: dict[str, Params] = {}

    def create(self, params: Params) -> StripeObject:
        """Open a session; its `url` is a page of the simulator on which a person can pay.

        Raises:
            ApiError: 400 for missing line items, an unknown customer or price, both `customer` and
                `customer_email`, or an option that Stripe does not take.
        """
        mode = one_of(params, "mode", ("payment", "setup", "subscription"))
        if mode is None:
            raise missing_parameter("mode")
        self._check_customer(params)
        entries = sequence(params, "line_items")
        if mode != "setup" and not entries:
            raise missing_parameter("line_items")
        prices = self._prices_of(entries)
        if mode == "subscription" and not any(price["recurring"] for price in prices):
            raise invalid_parameter("mode", "You must provide at least one recurring price in `subscription` mode.")
        session = self._new(mode, params) | offered(self.account, mode, params)
        session["currency"] = prices[0]["currency"] if prices else None
        session["amount_subtotal"] = session["amount_total"] = sum(
            (price["unit_amount"] or 0) * (integer(entry, "quantity") or 0)
            for entry, price in zip(entries, prices, strict=True)
        )
        self.objects[session["id"]] = session
        self._line_items[session["id"]] = entries
        self._subscription_data[session["id"]] = mapping(params, "subscription_data")
        self._customer_updates[session["id"]] = {"customer_update": mapping(params, "customer_update")}
        self.account.schedule(session["expires_at"], lambda: self._expire(session))
        return copied(session)

    def _check_customer(self, params: Params) -> None:
        customer_id = text(params, "customer")
        if customer_id is not None:
            self.account.customers.require(customer_id, "customer")
            if text(params, "customer_email") is not None:
                raise invalid_parameter("customer_email", "You may only specify one of `customer`, `customer_email`.")

    def _prices_of(self, entries: list[Params]) -> list[StripeObject]:
        """Return the price of each line item, and check that a licensed one has a quantity and a metered one none."""
        prices = [
            self.account.prices.require(str(required(entry, "price")), f"line_items[{position}][price]")
            for position, entry in enumerate(entries)
        ]
        for position, (entry, price) in enumerate(zip(entries, prices, strict=True)):
            is_metered = (price["recurring"] or {}).get("usage_type") == "metered"
            if is_metered and integer(entry, "quantity") is not None:
                raise invalid_parameter(
                    f"line_items[{position}][quantity]",
                    "Quantity should not be specified where usage_type is `metered`. Remove quantity from "
                    f"`line_items[{position}]`.",
                )
            if not is_metered and integer(entry, "quantity") is None:
                raise missing_parameter(f"line_items[{position}][quantity]")
        return prices

    def _new(self, mode: str, params: Params) -> StripeObject:
        now = int(self.account.now())
        session_id = self.account.new_id("cs_test", 58)
        customer_id, email = text(params, "customer"), text(params, "customer_email")
        return copied(_NEW_SESSION) | {
            "id": session_id,
            "cancel_url": text(params, "cancel_url"),
            "client_reference_id": text(params, "client_reference_id"),
            "created": now,
            "customer": customer_id,
            "customer_creation": None if customer_id else "always",
            "customer_details": {"email": email} if email else None,
            "customer_email": email,
            "expires_at": integer(params, "expires_at") or now + 86400,
            "metadata": merged_metadata({}, params),
            "mode": mode,
            "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
            "success_url": text(params, "success_url"),
            "url": f"{self.account.public_url}/_simulator/checkout/{session_id}",
        }

    def retrieve(self, session_id: str) -> StripeObject:
        """Return a session, or raise a 404."""
        return copied(self._find(session_id))

    def line_items(self, session_id: str) -> StripeObject:
        """Return a session's line items as a v1 list."""
        self._find(session_id)
        items = []
        for position, entry in enumerate(self._line_items[session_id]):
            price = self.account.prices.retrieve(str(entry["price"]))
            quantity = integer(entry, "quantity")
            amount = (price["unit_amount"] or 0) * (quantity or 0)
            items.append(
                {
                    "id": f"li_{session_id[-12:]}{position}",
                    "object": "item",
                    "amount_discount": 0,
                    "amount_subtotal": amount,
                    "amount_tax": 0,
                    "amount_total": amount,
                    "currency": price["currency"],
                    "description": price["nickname"],
                    "price": price,
                    "quantity": quantity,
                }
            )
        return {"object": "list", "data": items, "has_more": False, "url": f"{URL}/{session_id}/line_items"}

    def list(self, params: Params) -> StripeObject:
        """List sessions, newest first, by `customer`, `subscription`, `status` and `created` where given."""
        filters = {name: text(params, name) for name in ("customer", "subscription", "status")}
        page_limit(params)
        matching = [
            session
            for session in reversed(self.objects.values())
            if all(value in (None, session[name]) for name, value in filters.items())
            and in_range(params, "created", session["created"])
        ]
        return copied(page(matching, params, URL))

    def expire(self, session_id: str) -> StripeObject:
        """End an open session, so that nobody can pay on it.

        Raises:
            ApiError: 400 where it is not open.
        """
        session = self._find(session_id)
        if session["status"] != "open":
            raise ApiError(
                400,
                f'Only Checkout Sessions with a status in ["open"] can be expired; this one is {session["status"]}.',
            )
        self._expire(session)
        return copied(session)

    def _expire(self, session: StripeObject) -> None:
        if session["status"] == "open":
            session.update(status="expired", url=None)
            self.account.events.emit("checkout.session.expired", session)

    def complete(
        self, session_id: str, *, email: str = "buyer@example.com", metadata: dict[str, str] | None = None
    ) -> StripeObject:
        """Pay a session as its buyer: makes the customer where there is none, the subscription and its first invoice.

        All events of it are created in the same second, `checkout.session.completed` last. `metadata` is put on the
        customer that is made. Where the session asks for no payment method, the customer has none until
        `customers.set_payment_method`. Returns the completed session.

        Raises:
            ApiError: 400 where it is not open.
        """
        session = self._find(session_id)
        if session["status"] != "open":
            raise ApiError(400, f"This Checkout Session is {session['status']}.")
        email = session["customer_email"] or email
        if session["customer"] is None:
            customer = self.account.customers.create({"email": email, "metadata": metadata or {}})
            session["customer"] = customer["id"]
        keep_details(self.account, session, self._customer_updates[session_id], email)
        if session["mode"] == "subscription":
            data = self._subscription_data[session_id]
            has_payment_method = collects_payment_method(session, data)
            self.account.customers.set_payment_method(session["customer"], is_there=has_payment_method)
            subscription = self.account.subscriptions.create(
                {name: data[name] for name in _PASSED_ON if name in data}
                | {"automatic_tax": {"enabled": session["automatic_tax"]["enabled"]}}
                | {"customer": session["customer"], "items": self._line_items[session_id]}
            )
            session["subscription"] = subscription["id"]
            session["invoice"] = subscription["latest_invoice"]
        session["payment_status"] = "no_payment_required" if session["mode"] == "setup" else "paid"
        session.update(status="complete", url=None)
        self.account.events.emit("checkout.session.completed", session)
        return copied(session)
