"""SubscriptionsTable: each organisation's subscription as Stripe has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.constants import STRING
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from billing.metered_subscriptions import MeteredSubscription, from_text, to_text
from billing.tables.table import Table, TimeAttribute

# Into how many parts a scan is cut; the same number as there are shards of due hours.
SEGMENTS = 16


class ByCustomerIndex(GlobalSecondaryIndex["SubscriptionRecord"]):
    """The organisation whose current customer a Stripe customer is (`tables/customers.py` has all)."""

    class Meta:
        """Name the index as template.yaml does."""

        index_name = "by_customer"
        projection = KeysOnlyProjection()

    stripe_customer_id = UnicodeAttribute(hash_key=True)


class AccessEndsIndex(GlobalSecondaryIndex["SubscriptionRecord"]):
    """The organisations whose access ends at a known time, by what it is now; few have such a time."""

    class Meta:
        """Name the index as template.yaml does."""

        index_name = "access_ends"
        projection = KeysOnlyProjection()

    access = UnicodeAttribute(hash_key=True)
    access_until = TimeAttribute(range_key=True)


class MeteredSubscriptionsAttribute(Attribute[Sequence[MeteredSubscription]]):
    """Subscriptions that sell usage, the one that is followed first."""

    attr_type = STRING

    def serialize(self, value: Sequence[MeteredSubscription]) -> str:
        """Write the subscriptions; see `billing.metered_subscriptions`."""
        return to_text(value)

    def deserialize(self, value: str) -> tuple[MeteredSubscription, ...]:
        """Read the subscriptions; see `billing.metered_subscriptions`."""
        return from_text(value)


# More writes than a record can have had.
ABSURD_VERSION = 10**15


class VersionAttribute(NumberAttribute):
    """A number of writes."""

    def deserialize(self, value: str) -> float:
        """Read the number.

        Raises:
            ValueError: no record can have been written so often.
        """
        version = float(value)
        if not 0 <= version < ABSURD_VERSION:
            raise ValueError(f"{value} is no number of writes")
        return version


class SubscriptionRecord(Table):
    """One organisation's subscription.

    `metered_subscriptions` are all that sell our meters, or sold them in the past 35 days: from them metering knows to
    whom an hour is billed. `version` counts the writes that Stripe or time made necessary. `access`, `access_reason`
    and `access_until` are who may use the service by it (`billing.access`); whoever asks computes it anew.
    `customer_ids` are all customers the organisation has had here, so that a subscription of an earlier one is still
    seen; `customers_claimed` is there where each of them has its item in CustomersTable, as in all records but those
    from before that table. `rearm_from` is there between the write that made a customer or subscription known and the
    moment the refused hours since then have become due again. `fetched_from` is the version that was there when the
    last fetch began; `refreshing_since` (Unix seconds) is there while one goes on.
    """

    class Meta:
        """Give PynamoDB the place for the name, which is read at first use."""

        table_name = ""

    environment_variable = "SUBSCRIPTIONS_TABLE"

    organization_id = UnicodeAttribute(hash_key=True)
    stripe_customer_id = UnicodeAttribute(null=True)
    stripe_subscription_id = UnicodeAttribute(null=True)
    status = UnicodeAttribute(null=True)
    current_period_start = TimeAttribute(null=True)
    current_period_end = TimeAttribute(null=True)
    cancel_at = TimeAttribute(null=True)
    cancel_at_period_end = BooleanAttribute(null=True)
    trial_end = TimeAttribute(null=True)
    past_due_since = TimeAttribute(null=True)
    started_at = TimeAttribute(null=True)
    ended_at = TimeAttribute(null=True)
    price_ids = ListAttribute(of=UnicodeAttribute, null=True)
    customer_ids = UnicodeSetAttribute(null=True)
    customers_claimed = BooleanAttribute(null=True)
    metered_subscriptions = MeteredSubscriptionsAttribute(null=True)
    fetched_at = TimeAttribute(null=True)
    fetched_from = NumberAttribute(null=True)
    refreshing_since = NumberAttribute(null=True)
    version = VersionAttribute(null=True)
    last_event_id = UnicodeAttribute(null=True)
    rearm_from = TimeAttribute(null=True)
    access = UnicodeAttribute(null=True)
    access_reason = UnicodeAttribute(null=True)
    access_until = TimeAttribute(null=True)
    thresholds = UnicodeAttribute(null=True)
    created_at = TimeAttribute(null=True)
    updated_at = TimeAttribute(null=True)

    by_customer = ByCustomerIndex()
    access_ends = AccessEndsIndex()

    @classmethod
    def of(cls, organization_id: str, *, consistent: bool = False) -> SubscriptionRecord | None:
        """Return the organisation's record, or None."""
        try:
            return cls.get(organization_id, consistent_read=consistent)
        except cls.DoesNotExist:
            return None


def subscriptions_of(organization_id: str, *, consistent: bool = False) -> tuple[MeteredSubscription, ...]:
    """Return the subscriptions that an organisation's record remembers; none where it has no record."""
    record = SubscriptionRecord.of(organization_id, consistent=consistent)
    return tuple((record.metered_subscriptions if record is not None else None) or ())


def is_at_version(version: float | None) -> Any:
    """Return the condition that nobody has written a record since it had this version; None: none that can be read."""
    attribute: Any = SubscriptionRecord.version
    if version is not None:
        return attribute == version
    is_absurd = (attribute < 0) | (attribute >= ABSURD_VERSION)
    return attribute.does_not_exist() | ~attribute.is_type() | is_absurd


def subscriptions_in_segment(segment: int | None, *, after: str | None = None) -> Iterator[SubscriptionRecord]:
    """Yield the organisations that have a record: those of one of 16 parts, or (None) all.

    Only their ids, customers, ends and what they sell are read. The order is DynamoDB's own and stays the same; `after`
    continues behind an organisation.
    """
    yield from SubscriptionRecord.scan(
        segment=segment,
        total_segments=None if segment is None else SEGMENTS,
        attributes_to_get=["organization_id", "stripe_customer_id", "ended_at", "metered_subscriptions"],
        consistent_read=True,
        last_evaluated_key=None if after is None else {"organization_id": {"S": after}},
    )


def access_ended(state: str, by: datetime) -> list[str]:
    """Return the organisations that were in this state of access until a moment that has passed; no others are read."""
    has_passed = SubscriptionRecord.access_until <= by
    return [record.organization_id for record in SubscriptionRecord.access_ends.query(state, has_passed)]


def set_thresholds(organization_id: str, text: str | None) -> bool:
    """Write an organisation's limits (`billing.thresholds`), or (None) remove them; False where it has no record."""
    attribute = SubscriptionRecord.thresholds
    action = attribute.remove() if text is None else attribute.set(text)
    return SubscriptionRecord(organization_id).update_if([action], SubscriptionRecord.organization_id.exists())


def set_access(record: SubscriptionRecord, state: str, reason: str, until: datetime | None, now: datetime) -> bool:
    """Write an access into a record; False where somebody has written it since it was read.

    The version is raised: whoever has read the record before this has compared with what is not there any more.
    """
    actions = [
        SubscriptionRecord.access.set(state),
        SubscriptionRecord.access_reason.set(reason),
        SubscriptionRecord.access_until.remove() if until is None else SubscriptionRecord.access_until.set(until),
        SubscriptionRecord.version.set(int(record.version or 0) + 1),
        SubscriptionRecord.updated_at.set(now),
    ]
    return SubscriptionRecord(record.organization_id).update_if(actions, is_at_version(record.version))


def forget_rearming(organization_id: str, rearm_from: datetime, version: float | None) -> None:
    """Remove `rearm_from`, unless a later write has set it anew."""
    is_this_link = SubscriptionRecord.rearm_from == rearm_from  # an earlier moment has more hours to make due
    is_unwritten = SubscriptionRecord.version == version  # a delivery has stored another link
    SubscriptionRecord(organization_id).update_if(
        [SubscriptionRecord.rearm_from.remove(), SubscriptionRecord.refreshing_since.remove()],
        is_this_link & is_unwritten,
    )
