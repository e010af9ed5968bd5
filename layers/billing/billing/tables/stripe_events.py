"""StripeEventsTable: one record an event, which is what makes a second delivery a duplicate."""

from __future__ import annotations

from datetime import datetime, timedelta

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import PutError

from billing.tables.table import Table, TimeAttribute, is_condition_failed

# Stripe resends for 3 days by itself and for 30 by hand.
# https://docs.stripe.com/webhooks#automatic-retries, https://docs.stripe.com/cli/events/resend
KEPT_FOR = timedelta(days=90)


class StripeEventRecord(Table):
    """The record of an event that was processed, with its outcome. `report` is a meter error report as JSON."""

    class Meta:
        """Give PynamoDB the place for the name, which is read at first use."""

        table_name = ""

    environment_variable = "STRIPE_EVENTS_TABLE"

    event_id = UnicodeAttribute(hash_key=True)
    event_type = UnicodeAttribute()
    created = NumberAttribute(null=True)
    outcome = UnicodeAttribute()
    organization_id = UnicodeAttribute(null=True)
    processed_at = TimeAttribute()
    expires_at = NumberAttribute()
    report = UnicodeAttribute(null=True)

    @classmethod
    def made(
        cls,
        event_id: str,
        event_type: str,
        created: int | None,
        outcome: str,
        organization_id: str | None,
        processed_at: datetime,
    ) -> StripeEventRecord:
        """Return a record that expires 90 days after `processed_at`; nothing is written."""
        return cls(
            event_id=event_id,
            event_type=event_type,
            created=created,
            outcome=outcome,
            organization_id=organization_id,
            processed_at=processed_at,
            expires_at=int((processed_at + KEPT_FOR).timestamp()),
        )

    @classmethod
    def of(cls, event_id: str) -> StripeEventRecord | None:
        """Return the event's record, its id and organisation alone; None where it has none."""
        try:
            return cls.get(event_id, attributes_to_get=["event_id", "organization_id"])
        except cls.DoesNotExist:
            return None

    @classmethod
    def recorded(cls, event_id: str) -> bool:
        """Say whether the event has a record."""
        return cls.of(event_id) is not None


def record_event(record: StripeEventRecord) -> bool:
    """Write the record unless the event has one; say whether this call wrote it."""
    try:
        record.save(StripeEventRecord.event_id.does_not_exist())
    except PutError as error:
        if is_condition_failed(error):
            return False
        raise
    return True
