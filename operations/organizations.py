"""The organisations that there are: in the tables, and in the metadata of Stripe's subscriptions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from billing.clock import format_time
from billing.errors import BillingError
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.subscriptions import list_all_subscriptions
from billing.tables.customers import customers_by_organization
from billing.tables.periods import PeriodRecord
from billing.tables.subscriptions import SubscriptionRecord, subscriptions_in_segment
from billing.tables.usage import UsageRecord

# So many organisations are in memory at once, and so many of them are looked at.
PAGE, AT_ONCE = 100, 8


# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
LONGEST_KEY_BYTES = 2048


class UnknownOrganizationError(BillingError):
    """An organisation of which no table knows anything."""


@dataclass(frozen=True, slots=True)
class Overview:
    """An organisation with a record: what it subscribes to, and its hours since a moment."""

    organization_id: str
    status: str | None
    price_ids: list[str]
    last_hour: str | None
    due_hours: int
    refused_hours: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        return asdict(self)


def overviews(since: datetime) -> Iterator[list[Overview]]:
    """Yield all organisations that have a record, some at a time."""
    records = SubscriptionRecord.scan(attributes_to_get=["organization_id", "status", "price_ids"], page_size=PAGE)
    with ThreadPoolExecutor(AT_ONCE, "overviews") as executor:
        while page := list(islice(records, PAGE)):
            yield list(executor.map(lambda record: _overview(record, since), page))


def _overview(record: SubscriptionRecord, since: datetime) -> Overview:
    last_hour, due_hours, refused_hours = None, 0, 0
    for hour in UsageRecord.query(
        record.organization_id,
        UsageRecord.window_start >= format_time(since),
        attributes_to_get=["window_start", "due_at", "refused"],
    ):
        last_hour = hour.window_start
        due_hours += hour.due_at is not None
        refused_hours += hour.due_at is None and hour.refused is not None
    return Overview(
        record.organization_id,
        record.status,
        list(map(str, record.price_ids or ())),
        last_hour,
        due_hours,
        refused_hours,
    )


def check_is_known(organization_id: str) -> None:
    """Make sure that a table knows the organisation: a name that is mistyped is no empty answer.

    Raises:
        UnknownOrganizationError: none does.
    """
    is_key = 0 < len(organization_id.encode()) <= LONGEST_KEY_BYTES
    is_known = is_key and (
        SubscriptionRecord.of(organization_id) is not None
        or any(UsageRecord.query(organization_id, limit=1))
        or any(PeriodRecord.query(organization_id, limit=1))
    )
    if not is_known:
        raise UnknownOrganizationError(
            f"No table knows the organisation {organization_id}; `organizations` lists those that have a record"
        )


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
