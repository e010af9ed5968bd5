"""Customers: https://docs.stripe.com/api/customers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from stripe_simulator.errors import invalid_parameter, no_such
from stripe_simulator.parameters import Params, in_range, integer, merged_metadata, page_limit, required, text
from stripe_simulator.resources import Resource, StripeObject, copied, on_its_clock, page, synchronized

if TYPE_CHECKING:
    from stripe_simulator.account import Account

URL = "/v1/customers"
_PLAIN_FIELDS = ("name", "email", "description", "phone")
_CLAUSE = re.compile(r"""^\s*(?:metadata\[(['"])(?P<key>.+?)\1\]|(?P<field>\w+))\s*:\s*(['"])(?P<value>.*?)\4\s*$""")

PaymentOutcome = Literal["paid", "payment_failed"]


@synchronized
class Customers(Resource):
    """The account's customers; a deleted one stays as `{"deleted": true}`, as Stripe shows it."""

    resource_name = "customer"

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._searchable_from: dict[str, float] = {}
        self._payment_outcome: dict[str, PaymentOutcome] = {}
        self._without_payment_method: set[str] = set()

    def create(self, params: Params) -> StripeObject:
        """Create a customer, who may live by a `test_clock`."""
        test_clock = text(params, "test_clock")
        if test_clock is not None:
            self.account.test_clocks.require(test_clock, "test_clock")
        with self.account.on_clock(test_clock):
            return self._create(params, test_clock)

    def _create(self, params: Params, test_clock: str | None) -> StripeObject:
        customer_id = self.account.new_id("cus")
        customer: StripeObject = {
            "id": customer_id,
            "object": "customer",
            "address": None,
            "balance": 0,
            "created": int(self.account.now()),
            "currency": None,
            "customer_account": None,
            "default_source": None,
            "delinquent": False,
            "description": text(params, "description"),
            "discount": None,
            "email": text(params, "email"),
            "invoice_prefix": customer_id[4:12].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": merged_metadata({}, params),
            "name": text(params, "name"),
            "next_invoice_sequence": 1,
            "phone": text(params, "phone"),
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": test_clock,
        }
        self.objects[customer_id] = customer
        self._changed(customer_id)
        self.account.events.emit("customer.created", customer)
        return copied(customer)

    def retrieve(self, customer_id: str) -> StripeObject:
        """Return a customer, or raise a 404."""
        return copied(self._find(customer_id))

    def exists(self, customer_id: str) -> bool:
        """Say whether there is such a customer that is not deleted."""
        customer = self.objects.get(customer_id)
        return customer is not None and "deleted" not in customer

    def require(self, customer_id: str, param: str) -> None:
        """Raise a 400 `resource_missing` that names the parameter, unless the customer exists."""
        if not self.exists(customer_id):
            raise no_such(self.resource_name, customer_id, param, 400)

    @on_its_clock
    def update(self, customer_id: str, params: Params) -> StripeObject:
        """Change a customer's plain fields and metadata."""
        if not self.exists(customer_id):
            raise no_such(self.resource_name, customer_id)
        customer = self.objects[customer_id]
        before = copied(customer)
        for name in _PLAIN_FIELDS:
            if name in params:
                customer[name] = text(params, name)
        customer["metadata"] = merged_metadata(customer["metadata"], params)
        self._changed(customer_id)
        self.account.events.emit("customer.updated", customer, before)
        return copied(customer)

    @on_its_clock
    def delete(self, customer_id: str) -> StripeObject:
        """Delete a customer for good, which cancels its subscriptions at once."""
        if not self.exists(customer_id):
            raise no_such(self.resource_name, customer_id)
        self.account.subscriptions.cancel_all_of(customer_id)
        customer = self.objects[customer_id]
        self.objects[customer_id] = {"id": customer_id, "object": "customer", "deleted": True}
        self.account.events.emit("customer.deleted", customer)
        return copied(self.objects[customer_id])

    def list(self, params: Params) -> StripeObject:
        """List customers that are not deleted, newest first, by `email` and `created` where given.

        Those of a test clock are only in the list of that `test_clock`.
        """
        email, test_clock = text(params, "email"), text(params, "test_clock")
        page_limit(params)
        matching = [
            customer
            for customer in reversed(self.objects.values())
            if "deleted" not in customer
            and customer["test_clock"] == test_clock
            and email in (None, customer["email"])
            and in_range(params, "created", customer["created"])
        ]
        return copied(page(matching, params, URL))

    def search(self, params: Params) -> StripeObject:
        """Search by clauses joined with AND: `metadata['organization_id']:'org_1'`, `email:'a@example.com'`.

        As Stripe does, it compares without regard to case. A new or changed customer is missing for
        `Settings.search_lag_seconds`: Stripe warns not to search for what was just written
        (https://docs.stripe.com/search#data-freshness).

        Raises:
            ApiError: 400 for a query that is not understood.
        """
        clauses = [self._clause(clause) for clause in re.split(r"\s+AND\s+", str(required(params, "query")))]
        limit = page_limit(params)
        now = self.account.now()
        start = integer(params, "page") or 0
        matching = [
            customer
            for customer in reversed(self.objects.values())
            if "deleted" not in customer
            and self._searchable_from[customer["id"]] <= now
            and all(
                str(customer["metadata"].get(key) if key is not None else customer.get(field or "")).lower()
                == value.lower()
                for key, field, value in clauses
            )
        ]
        more = len(matching) > start + limit
        return {
            "object": "search_result",
            "data": copied(matching[start : start + limit]),
            "has_more": more,
            "next_page": str(start + limit) if more else None,
            "url": f"{URL}/search",
        }

    def _clause(self, clause: str) -> tuple[str | None, str | None, str]:
        match = _CLAUSE.match(clause)
        if match is None or match["field"] not in (None, "email", "name", "phone"):
            raise invalid_parameter("query", "We were unable to parse your search query.", "search_query_invalid")
        return match["key"], match["field"], match["value"]

    def _changed(self, customer_id: str) -> None:
        self._searchable_from[customer_id] = self.account.arrival_time() + self.account.settings.search_lag_seconds

    # --- what tests decide

    def set_payment_outcome(self, customer_id: str, outcome: PaymentOutcome) -> None:
        """Decide whether this customer's invoices are paid from now on (they are, unless told otherwise)."""
        self._payment_outcome[customer_id] = outcome

    def set_payment_method(self, customer_id: str, *, is_there: bool) -> None:
        """Decide whether this customer has a payment method from now on (it has, unless a checkout asked for none)."""
        (self._without_payment_method.discard if is_there else self._without_payment_method.add)(customer_id)

    def has_payment_method(self, customer_id: str) -> bool:
        """Say whether this customer has a payment method now."""
        return customer_id not in self._without_payment_method

    def pays(self, customer_id: Any) -> bool:
        """Say whether an attempt to pay an invoice of this customer works now."""
        return self.has_payment_method(customer_id) and self._payment_outcome.get(customer_id, "paid") == "paid"
