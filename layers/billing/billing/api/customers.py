"""The organisation's one Stripe customer, also where several requests create it at the same moment.

Requests that race use the same idempotency key: Stripe creates one customer and returns it to all of them, and one of
them writes the record. A request that crashed may have left a customer behind. For 24 hours Stripe returns that one for
the same key; from a minute on, a search by metadata finds it. So each request searches before it creates, and at no
moment do both ways miss it.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from billing import clock
from billing.errors import ContentionError, StripeUnavailableError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.customers import create_customer, find_customer
from billing.tables.customers import is_anothers, link_customer
from billing.tables.subscriptions import SubscriptionRecord

ATTEMPTS = 4
# Stripe's search is minutes behind at worst: https://docs.stripe.com/search#data-freshness
SEARCH_LAG = timedelta(minutes=10)


def customer_of(organization_id: str, gateway: StripeGateway, *, deleted_id: str | None = None) -> str:
    """Return the id of the organisation's customer; create one where there is none.

    `deleted_id` is a customer that somebody deleted at Stripe: it gets a successor.

    Raises:
        UnavailableError: Stripe or DynamoDB could not be reached, or others kept writing. The same request later
            creates no second customer.
    """
    taken: set[str] = set()
    for _ in range(ATTEMPTS):
        record = SubscriptionRecord.of(organization_id, consistent=True)
        if record is not None and record.stripe_customer_id not in (None, deleted_id):
            return record.stripe_customer_id
        earlier_ids = (record.customer_ids if record is not None else None) or set()
        customer_id = _find_or_create(organization_id, earlier_ids | taken, gateway)
        if is_anothers(customer_id, organization_id):
            # Somebody wrote this organisation's id into the metadata of another one's customer.
            taken.add(customer_id)
        elif link_customer(organization_id, customer_id, record, clock.utc_now()):
            return customer_id
    raise ContentionError(f"The record of {organization_id} changed under {ATTEMPTS} attempts to write its customer")


def _find_or_create(organization_id: str, earlier_ids: set[str], gateway: StripeGateway) -> str:
    customer_id = find_customer(gateway, organization_id)
    if customer_id is not None and customer_id not in earlier_ids:
        return customer_id
    for attempt in range(ATTEMPTS):
        try:
            return create_customer(gateway, organization_id, _idempotency_key(organization_id, earlier_ids, attempt))
        except StripeUnavailableError as error:
            if error.status is None or error.status < 500:
                raise
            # Stripe saves a 500 for this key and repeats it for 24 hours, but may have created the customer.
            customer_id = find_customer(gateway, organization_id, clock.utc_now() - SEARCH_LAG)
            if customer_id is not None and customer_id not in earlier_ids:
                return customer_id
    raise StripeUnavailableError(f"Stripe failed {ATTEMPTS} times to create a customer")


def _idempotency_key(organization_id: str, earlier_ids: set[str], attempt: int) -> str:
    """Return the key under which Stripe creates one customer for all requests; once it is deleted, the key changes."""
    request = "\n".join([organization_id, *sorted(earlier_ids), str(attempt)])
    return f"customer-{hashlib.sha256(request.encode()).hexdigest()}"
