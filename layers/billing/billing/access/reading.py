"""May an organisation use the service? One read of its record; needs no Stripe."""

from __future__ import annotations

from datetime import datetime

from billing import clock
from billing.access.rule import UNCERTAIN, Access, access_at, facts_of
from billing.organizations import check_organization_id
from billing.settings import grace_period
from billing.tables.subscriptions import SubscriptionRecord
from billing.telemetry import logger


def may_use(organization_id: str, *, consistent: bool = False) -> Access:
    """Return whether an organisation may use the service now: true as a condition unless access is denied.

    One read of one item. It may miss a webhook of the past second; `consistent` makes it see that one too, at twice the
    price. An organisation that nobody has heard of is denied (`no_subscription`).

    Raises:
        InvalidUsageError: no organisation can have this id.
        UnavailableError, PynamoDBException: the record could not be read: decide yourself whether to let it in.
    """
    record = SubscriptionRecord.of(check_organization_id(organization_id), consistent=consistent)
    return access_of(record, clock.utc_now())


def access_of(record: SubscriptionRecord | None, now: datetime) -> Access:
    """Return the access that a record gives at a moment; one that somebody has to look at is logged."""
    if record is None:
        return access_at(None, now, grace_period())
    access = access_at(facts_of(record.attribute_values, record.damaged), now, grace_period())
    if access.reason in UNCERTAIN:
        logger.error(
            "An organisation is let in because its record cannot be understood: operate refresh fetches it anew",
            extra={"organization_id": record.organization_id, "reason": access.reason, "status": record.status},
        )
    return access
