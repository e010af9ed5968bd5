"""CustomersTable: which organisation has a Stripe customer. One item a customer, so that no two have the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pynamodb.attributes import UnicodeAttribute
from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from billing.tables.subscriptions import SubscriptionRecord, is_at_version
from billing.tables.table import Table, TimeAttribute, connection, is_overtaken


class CustomerRecord(Table):
    """The organisation that has a Stripe customer, or had it: its past hours stay with that customer."""

    class Meta:
        """Give PynamoDB the place for the name, which is read at first use."""

        table_name = ""

    environment_variable = "CUSTOMERS_TABLE"

    stripe_customer_id = UnicodeAttribute(hash_key=True)
    organization_id = UnicodeAttribute()
    claimed_at = TimeAttribute()


def organization_with_customer(stripe_customer_id: str) -> str | None:
    """Return the organisation that has, or had, a Stripe customer; None where none has. Read consistently.

    A record that was last written before there was this table has no items here: the index shows its customer.
    """
    try:
        record = CustomerRecord.get(stripe_customer_id, consistent_read=True)
        return None if record.damaged else record.organization_id
    except CustomerRecord.DoesNotExist:
        records = SubscriptionRecord.by_customer.query(stripe_customer_id)
        return min((record.organization_id for record in records), default=None)


def customers_by_organization() -> dict[str, set[str]]:
    """Return the customers of every organisation that has, or had, one: the whole table is read."""
    found: dict[str, set[str]] = {}
    for record in CustomerRecord.scan():
        if not record.damaged:
            found.setdefault(record.organization_id, set()).add(record.stripe_customer_id)
    return found


def is_anothers(stripe_customer_id: str, organization_id: str) -> bool:
    """Say whether another organisation has the customer: the usage of one would overwrite the other's."""
    return organization_with_customer(stripe_customer_id) not in (None, organization_id)


def claim_customers(
    transaction: TransactWrite, organization_id: str, stripe_customer_ids: Iterable[str], now: datetime
) -> None:
    """Make customers the organisation's as a part of a transaction, which fails where another has one of them."""
    is_free = CustomerRecord.stripe_customer_id.does_not_exist()
    is_its_own = CustomerRecord.organization_id == organization_id
    is_damaged = ~CustomerRecord.organization_id.is_type()  # it names nobody any more
    for stripe_customer_id in stripe_customer_ids:
        record = CustomerRecord(stripe_customer_id, organization_id=organization_id, claimed_at=now)
        transaction.save(record, condition=is_free | is_its_own | is_damaged)


def link_customer(
    organization_id: str, stripe_customer_id: str, before: SubscriptionRecord | None, now: datetime
) -> bool:
    """Make a Stripe customer the organisation's; False where another has it, or the record has changed since `before`.

    `version` changes too: a delivery that is at work on the record reads it again, and so asks Stripe for this
    customer's subscriptions as well. `fetched_at` ends: what is stored was fetched without this customer, and an event
    of its subscriptions must not be taken as covered by it. A record that this makes has version 0.
    """
    written_version = before.version if before is not None else None
    version = 0 if written_version is None else int(written_version) + 1
    is_as_read = is_at_version(written_version)  # nobody has written the record since
    try:
        with TransactWrite(connection=connection()) as transaction:
            transaction.update(
                SubscriptionRecord(organization_id),
                actions=[
                    SubscriptionRecord.stripe_customer_id.set(stripe_customer_id),
                    SubscriptionRecord.customer_ids.add({stripe_customer_id}),
                    SubscriptionRecord.version.set(version),
                    SubscriptionRecord.fetched_at.remove(),
                    SubscriptionRecord.created_at.set(SubscriptionRecord.created_at | now),
                    SubscriptionRecord.updated_at.set(now),
                ],
                condition=is_as_read,
            )
            claim_customers(transaction, organization_id, [stripe_customer_id], now)
    except TransactWriteError as error:
        if is_overtaken(error):
            return False
        raise
    return True
