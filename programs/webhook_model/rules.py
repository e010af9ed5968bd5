"""What a delivery reads and writes, each in a few lines; what it decides, the real code decides.

A method is a rule that carries the proof of `billing/webhooks/__init__.py`; `weaker.py` takes one away at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from billing.access.rule import FACTS, Access, access_at, facts_of
from billing.webhooks.choice import Fetched, Found, StoredSubscription, choose, claimed_customers, is_conflict
from billing.webhooks.decision import Reading, changes, version_of
from billing.webhooks.events import Pointer
from programs.webhook_model.state import AccessEnding, Delivery, Run, State, moment

GRACE = timedelta(days=7)
# What only people read.
UNSEEN = {"updated_at": None, "created_at": None, "last_event_id": None}


class Rules:
    """The rules in use."""

    def organization_with_customer(self, state: State, customer_id: str) -> str | None:
        """Read CustomersTable consistently: former customers too."""
        return dict(state.customers).get(customer_id)

    def readings(self, state: State, delivery: Delivery) -> Iterator[Reading]:
        """Read the event's record and the organisation's, consistently: there is one way to see them."""
        record = state.record(str(delivery.organization_id))
        yield Reading(state.is_recorded(delivery.event), record)

    def may_write(self, state: State, delivery: Delivery) -> bool:
        """Nobody has written the record since it was read, nor ended its linking."""
        now, before = state.record(str(delivery.organization_id)), delivery.record
        if before is None or now is None:
            return now is before
        return version_of(now) == version_of(before) and (before.rearm_from is None or now.rearm_from is not None)

    def may_claim(self, state: State, organization_id: str, customer_ids: Collection[str]) -> bool:
        """Nobody else has one of the customers."""
        owners = dict(state.customers)
        return all(owners.get(customer_id, organization_id) == organization_id for customer_id in customer_ids)

    def changes(self, before: StoredSubscription | None, fetched: Fetched, now: datetime) -> dict[str, Any]:
        """Return what storing sets, as the code does."""
        return changes(as_read(before), fetched, None, now, GRACE)

    def looks_again(self) -> bool:
        """Ask Stripe once more after a customer was linked."""
        return True

    def may_refuse(self, state: State, run: Run) -> bool:
        """Refuse an hour only if the record is still as the run read it."""
        return _version(state.record("acme")) == run.version

    def fetch(self, state: State, delivery: Delivery, pointer: Pointer | None) -> Fetched | None:
        """Ask Stripe, and choose what to follow; None where nothing is to be stored."""
        found = self.find(state, delivery, pointer)
        if pointer is not None and self.is_conflict(pointer, delivery.record, found):
            return None
        fetched = choose(found, as_read(delivery.record))
        return None if fetched is None else hashable(fetched)

    def is_conflict(self, pointer: Pointer, record: StoredSubscription | None, found: Found) -> bool:
        """Nobody is moved to another customer on a buyer's word."""
        return is_conflict(pointer, record, found, relinks=False)

    def find(self, state: State, delivery: Delivery, pointer: Pointer | None) -> Found:
        """Ask Stripe for the subscriptions of the organisation's customers, and the event's."""
        organization_id, record = str(delivery.organization_id), delivery.record
        customer_ids: set[str | None] = set(record.customer_ids or ()) if record is not None else set()
        expected = {record.stripe_subscription_id if record is not None else None}
        if pointer is not None:
            customer_ids.add(pointer.customer_id)
            if not pointer.is_buyers_word:
                expected.add(pointer.subscription_id)
        claimed = claimed_customers(record)
        known = {
            customer_id
            for customer_id in customer_ids
            if customer_id is not None
            if customer_id in claimed or not self.is_anothers(state, customer_id, organization_id)
        }
        own = [
            subscription
            for subscription in state.subscriptions
            if subscription.customer_id in known or subscription.subscription_id in expected
            if subscription.organization_id in (None, organization_id) or subscription.subscription_id in expected
            if subscription.customer_id in known
            or not self.is_anothers(state, subscription.customer_id, organization_id)
        ]
        return Found(own, frozenset(known), moment(state.tick))

    def is_anothers(self, state: State, customer_id: str, organization_id: str) -> bool:
        """Say whether another organisation has the customer."""
        return self.organization_with_customer(state, customer_id) not in (None, organization_id)

    def written(self, state: State, delivery: Delivery, *, with_event: bool) -> State | None:
        """Return the state after the transaction, None where one of its conditions does not hold."""
        fetched, before = delivery.fetched, delivery.record
        assert fetched is not None
        organization_id = str(delivery.organization_id)
        unclaimed = frozenset(fetched.customer_ids) - claimed_customers(before)
        if not self.may_write(state, delivery) or not self.may_claim(state, organization_id, unclaimed):
            return None
        if with_event and state.is_recorded(delivery.event):
            return None
        # As the code does: time may pass between the fetch and the write.
        values = self.changes(before, fetched, fetched.fetched_at)
        # What is as it was before is not written: it stays as it is now.
        now = state.record(organization_id) or StoredSubscription(organization_id)
        after = replace(
            with_record(state, stored(replace(now, **{**values, **UNSEEN}))),
            customers=state.customers | {(customer_id, organization_id) for customer_id in unclaimed},
        )
        return recorded(after, delivery) if with_event else after

    def access_stored(self, state: State, ending: AccessEnding) -> State:
        """Store an access if nobody has written the record since it was read; a write of it, too, has its version."""
        record = state.record(ending.record.organization_id)
        if record is None or record.version != ending.record.version:
            return state
        return with_record(state, replace(with_access(record, ending.access), version=version_of(record) + 1))


def access_by(record: StoredSubscription, now: datetime) -> Access:
    """Return who may use the service by a record at a moment."""
    return access_at(facts_of({name: getattr(record, name) for name in FACTS}), now, GRACE)


def has_ended(record: StoredSubscription, now: datetime) -> bool:
    """Say whether the end of the stored access has come, so that the schedule finds the record."""
    return record.access_until is not None and record.access_until <= now


def with_access(record: StoredSubscription, access: Access) -> StoredSubscription:
    """Return a record that stores an access."""
    return replace(record, access=access.state, access_reason=access.reason, access_until=access.until)


def with_record(state: State, record: StoredSubscription) -> State:
    """Return the state with a record in place of its organisation's former one."""
    others = [each for each in state.records if each.organization_id != record.organization_id]
    return replace(state, records=tuple(sorted([*others, record], key=lambda each: each.organization_id)))


def stored(record: StoredSubscription) -> StoredSubscription:
    """Return a record whose values can be compared and hashed."""
    return replace(
        record,
        price_ids=tuple(record.price_ids or ()),
        customer_ids=frozenset(record.customer_ids or ()),
    )


def hashable(fetched: Fetched) -> Fetched:
    """Return what was fetched so that states which hold it can be compared."""
    return replace(
        fetched,
        all_subscriptions=tuple(fetched.all_subscriptions),
        customer_ids=frozenset(fetched.customer_ids),
    )


def as_read(record: StoredSubscription | None) -> StoredSubscription | None:
    """Return a record as the table gives it."""
    return None if record is None else replace(record, price_ids=list(record.price_ids or ()))


def recorded(state: State, delivery: Delivery) -> State:
    """Return the state with the event's record."""
    return replace(state, recorded=state.recorded | {(delivery.event.number, delivery.organization_id)})


def _version(record: StoredSubscription | None) -> float | None:
    return None if record is None else record.version
