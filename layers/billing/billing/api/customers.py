"""The organisation's Stripe customer: one, also where several requests make it at the same moment.

Two requests that race use the same idempotency key, so that Stripe makes one customer and tells both; and only one of
them writes the record. Stripe forgets a key after 24 hours and finds a customer by its metadata after a minute: so a
customer is looked for before one is made, and at no moment can both miss one that a crashed request left behind.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from billing import clock
from billing.errors import ContentionError, StripeUnavailableError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.customers import create_customer, find_customer
from billing.tables.subscriptions import SubscriptionRecord, link_customer

ATTEMPTS = 4
# Stripe's search is minutes behind at worst: https://docs.stripe.com/search#data-freshness
SEARCH_LAG = timedelta(minutes=10)


def customer_of(organization_id: str, gateway: StripeGateway, *, lost: str | None = None) -> str:
    """Return the id of the organisation's customer; make it where there is none, or where `lost` was it.

    Raises:
        UnavailableError: Stripe or DynamoDB could not be reached, or others kept writing. The same again later makes
            no second customer.
    """
    for _ in range(ATTEMPTS):
        record = SubscriptionRecord.of(organization_id, consistent=True)
        if record is not None and record.stripe_customer_id not in (None, lost):
            return record.stripe_customer_id
        customer_id = _found_or_made(organization_id, record, gateway)
        if link_customer(organization_id, customer_id, record, clock.utc_now()):
            return customer_id
    raise ContentionError(f"The record of {organization_id} changed under {ATTEMPTS} attempts to write its customer")


def _found_or_made(organization_id: str, record: SubscriptionRecord | None, gateway: StripeGateway) -> str:
    earlier = (record.customer_ids if record is not None else None) or set()
    found = find_customer(gateway, organization_id)
    if found is not None and found not in earlier:
        return found
    for attempt in range(ATTEMPTS):
        try:
            return create_customer(gateway, organization_id, _key(organization_id, earlier, attempt))
        except StripeUnavailableError as error:
            if error.status is None or error.status < 500:
                raise
            # Stripe repeats a saved 500 for this key for 24 hours, and may have made the customer all the same.
            found = find_customer(gateway, organization_id, clock.utc_now() - SEARCH_LAG)
            if found is not None and found not in earlier:
                return found
    raise StripeUnavailableError(f"Stripe failed {ATTEMPTS} times to make a customer")


def _key(organization_id: str, earlier: set[str], attempt: int) -> str:
    """Return the key under which Stripe makes one customer, however many ask; another once that one is deleted."""
    named = "\n".join([organization_id, *sorted(earlier), str(attempt)])
    return f"customer-{hashlib.sha256(named.encode()).hexdigest()}"
