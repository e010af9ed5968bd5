"""The rules with one left out at a time: each has a scenario that ends wrong without it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from billing.clock import hour_of
from billing.webhooks.choice import Fetched, Found, StoredSubscription
from billing.webhooks.decision import Reading, is_reflected, version_of
from billing.webhooks.events import Pointer
from programs.webhook_model.rules import GRACE, Rules, as_read, with_access, with_record
from programs.webhook_model.scenarios import CLAIMED, FORMER, OVERDUE, REFUSED, RELINKED, RETURNS, STRANGER, Scenario
from programs.webhook_model.state import AccessEnding, Delivery, Run, State


class FindsCurrentCustomersAlone(Rules):
    """The index `by_customer` instead of an item a customer: in use once."""

    def organization_with_customer(self, state: State, customer_id: str) -> str | None:
        return next((each.organization_id for each in state.records if each.stripe_customer_id == customer_id), None)


class ClaimsWithoutACondition(Rules):
    """Look whether another organisation has the customer, then write: in use once."""

    def may_claim(self, state: State, organization_id: str, customer_ids: Collection[str]) -> bool:
        return True


class ForgetsTheFirstLink(Rules):
    """Make due what was refused since the newest subscription began: in use once."""

    def changes(self, before: StoredSubscription | None, fetched: Fetched, now: datetime) -> dict[str, Any]:
        values = super().changes(before, fetched, now)
        if "rearm_from" in values:
            values["rearm_from"] = hour_of(fetched.subscription.started_at)
        return values


class ReadsStale(Rules):
    """Read the record as it was before a link was left unfinished: in use once."""

    def readings(self, state: State, delivery: Delivery) -> Iterator[Reading]:
        for reading in super().readings(state, delivery):
            yield reading
            if reading.record is not None:
                yield replace(reading, record=replace(reading.record, rearm_from=None))


class WritesOverOthers(Rules):
    """Write what was fetched, whoever has written meanwhile."""

    def may_write(self, state: State, delivery: Delivery) -> bool:
        return True


class KeepsTheVersionWhereNothingIsNew(Rules):
    """Raise the version only where the fetch found something new."""

    def changes(self, before: StoredSubscription | None, fetched: Fetched, now: datetime) -> dict[str, Any]:
        values = super().changes(before, fetched, now)
        record = as_read(before)
        if record is not None and is_reflected(record, fetched, now, GRACE):
            values["version"] = record.version
        return values


class LooksOnce(Rules):
    """Do not ask Stripe again after a customer was linked."""

    def looks_again(self) -> bool:
        return False


class RefusesWhatItRead(Rules):
    """Refuse an hour though its customer may have become known meanwhile."""

    def may_refuse(self, state: State, run: Run) -> bool:
        return True


class TrustsTheBuyer(Rules):
    """Move an organisation to the customer of whoever named it in `client_reference_id`: in use once."""

    def is_conflict(self, pointer: Pointer, record: StoredSubscription | None, found: Found) -> bool:
        return False


class StoresAnAccessUnnoticed(Rules):
    """Store an access under the version that the record has."""

    def access_stored(self, state: State, ending: AccessEnding) -> State:
        after = super().access_stored(state, ending)
        record = after.record(ending.record.organization_id)
        if after is state or record is None:
            return after
        return with_record(after, replace(record, version=ending.record.version))


class StoresAnAccessOverOthers(Rules):
    """Store an access, whoever has written the record meanwhile."""

    def access_stored(self, state: State, ending: AccessEnding) -> State:
        record = state.record(ending.record.organization_id)
        assert record is not None
        return with_record(state, replace(with_access(record, ending.access), version=version_of(record) + 1))


WEAKER: tuple[tuple[Rules, Scenario], ...] = (
    (FindsCurrentCustomersAlone(), FORMER),
    (ClaimsWithoutACondition(), CLAIMED),
    (ForgetsTheFirstLink(), RELINKED),
    (ReadsStale(), CLAIMED),
    (WritesOverOthers(), RETURNS),
    (KeepsTheVersionWhereNothingIsNew(), RETURNS),
    (LooksOnce(), RETURNS),
    (RefusesWhatItRead(), REFUSED),
    (TrustsTheBuyer(), STRANGER),
    (StoresAnAccessUnnoticed(), OVERDUE),
    (StoresAnAccessOverOthers(), OVERDUE),
)
