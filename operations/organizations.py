"""The organisations that there are: in the tables, and in the metadata of Stripe's subscriptions."""

from __future__ import annotations

from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.subscriptions import list_all_subscriptions
from billing.tables.customers import customers_by_organization
from billing.tables.subscriptions import subscriptions_in_segment


def known_customers() -> dict[str, set[str]]:
    """Return the customers of every organisation that SubscriptionsTable or CustomersTable has; both are read whole."""
    found = customers_by_organization()
    for record in subscriptions_in_segment(None):
        found.setdefault(record.organization_id, set()).update(filter(None, [record.stripe_customer_id]))
    return found


def customers_at_stripe(gateway: StripeGateway) -> dict[str, set[str]]:
    """Return the customers whose subscriptions name an organisation in their metadata, ended ones too.

    One call to Stripe for every hundred subscriptions of the account.
    """
    found: dict[str, set[str]] = {}
    for subscription in list_all_subscriptions(gateway):
        if subscription.organization_id is not None:
            found.setdefault(subscription.organization_id, set()).add(subscription.customer_id)
    return found
