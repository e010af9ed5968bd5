"""What a sender decides and writes.

The decisions are the real ones, of `billing.metering.plan`. The conditional writes of `billing.metering.writes` stand
here in a few lines each; `tests/model/test_conformance.py` compares them with the real ones on DynamoDB. A rule is a
method, so that `old_rules.py` and `weaker_rules.py` can put another one in its place.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from billing.clock import format_time, parse_time
from billing.metering.hour import Declaration, UsageHour
from billing.metering.plan import meter_events, plan
from billing.meters import METERS
from programs.model.state import NOT_THERE, TICK, Item, Sender, Totals

NAMES = tuple(meter.event_name for meter in METERS)
HOUR = "2026-11-23T07:00:00Z"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Plan(NamedTuple):
    """What a sender will declare, and the meters that it will tell Stripe of."""

    revision: int
    doubt: int
    others: int
    events: tuple[int, ...]


class Rules:
    """The protocol as the code has it."""

    def plan(self, item: Item) -> Plan | None:
        """Return what is to be sent, or None where Stripe has all of it."""
        return _really_planned(item._replace(version=0, due=True, refused=False))

    def may_declare(self, item: Item, sender: Sender) -> bool:
        """Nobody in metering has written the item since it was read."""
        return item.version == sender.version

    def is_overtaken(self, item: Item, sender: Sender) -> bool:
        """Say of a sender that has not declared that it never may again."""
        return not self.may_declare(item, sender)

    def may_conclude(self, item: Item, sender: Sender) -> bool:
        """Nobody in metering has written the item since this sender's declaration."""
        return item.version == sender.version + 1

    def has_counts_of(self, item: Item, sender: Sender) -> bool:
        """No count has changed since it was read."""
        return item.counts == sender.counts

    def declared(self, item: Item, sender: Sender) -> Item:
        """Step 1."""
        return item._replace(
            version=item.version + 1,
            revision=sender.revision,
            sending=sender.counts,
            since=sender.age,
            doubt=sender.doubt,
            others=sender.others,
            refused=False,
        )

    def concluded(self, item: Item, sender: Sender) -> Item:
        """Step 3: settle, refuse or release; the item as it is where the conditions do not hold."""
        if not self.may_conclude(item, sender):
            return item
        if sender.refused:
            return self.refused(item, sender) if self.may_refuse(sender) else item
        if self.is_in_doubt(sender):
            return item._replace(version=item.version + 1, since=NOT_THERE)
        return self.settled(item, sender)

    def is_in_doubt(self, sender: Sender) -> bool:
        """An older total may still arrive after what was sent."""
        return sender.doubt != NOT_THERE

    def settled(self, item: Item, sender: Sender) -> Item:
        """Return the item with the totals reported, if they are still what was counted."""
        if not self.has_counts_of(item, sender):
            return item
        return item._replace(
            version=item.version + 1,
            due=False,
            sending=(),
            since=NOT_THERE,
            doubt=NOT_THERE,
            others=item.others if sender.others > 0 else NOT_THERE,
            reported=sender.counts,
        )

    def settled_unsent(self, item: Item, sender: Sender) -> Item:
        """Return the item settled with nothing sent: Stripe has its totals."""
        if not (self.may_declare(item, sender) and self.has_counts_of(item, sender)):
            return item
        return item._replace(version=item.version + 1, due=False, refused=False)

    def may_refuse(self, sender: Sender) -> bool:
        """Neither another sender nor an attempt of this one that is on its way may get it accepted."""
        return sender.others == NOT_THERE and not set(sender.refused) & set(sender.lost)

    def refused(self, item: Item, sender: Sender) -> Item:
        """Return the item refused, with what Stripe has of it all the same."""
        if not self.has_counts_of(item, sender):
            return item
        accepted = tuple(
            (sender.known[meter] if sender.known else NOT_THERE) if meter in sender.refused else total
            for meter, total in enumerate(sender.counts)
        )
        return item._replace(
            version=item.version + 1,
            due=False,
            sending=(),
            since=NOT_THERE,
            doubt=NOT_THERE,
            others=NOT_THERE,
            reported=accepted if set(accepted) != {NOT_THERE} else (),
            refused=True,
        )

    def made_unreported_due(self, item: Item, version: int) -> Item:
        """Return the item due under a revision of its own, if nobody in metering has written it since it was read."""
        if item.version != version:
            return item
        return item._replace(version=version + 1, due=True, revision=item.revision + 1, reported=())


@cache
def _really_planned(item: Item) -> Plan | None:
    """Ask the real code. What it decides depends on nothing else of the item, nor on how late it is."""
    decision = plan(as_hour(item), None, NOW)
    if decision is None:
        return None
    assert isinstance(decision, Declaration), decision
    assert dict(decision.totals) == _by_name(item.counts)
    return Plan(
        decision.revision,
        _ticks(decision.doubt_until),
        _ticks(decision.others_until),
        tuple(NAMES.index(event.event_name) for event in meter_events(decision)),
    )


def as_hour(item: Item) -> UsageHour:
    """Return the item as metering reads it, at `NOW`."""
    return UsageHour(
        organization_id="acme",
        window_start=HOUR,
        counts={name: {"N": str(count)} for name, count in _by_name(item.counts).items()},
        version=item.version or None,
        revision=item.revision,
        reported=_by_name(item.reported),
        reported_under={},
        reported_to="cus_acme",
        was_reported=bool(item.reported),
        sending=_by_name(item.sending) if item.sending else None,
        sending_since=_time(-item.since) if item.since != NOT_THERE else "",
        doubt_until=_time(item.doubt) if item.doubt != NOT_THERE else "",
        others_until=_time(item.others) if item.others != NOT_THERE else "",
    )


def _by_name(totals: Totals) -> dict[str, int]:
    return {name: total for name, total in zip(NAMES, totals, strict=False) if total != NOT_THERE}


def _time(ticks: int) -> str:
    return format_time(NOW + ticks * TICK)


def _ticks(until: str) -> int:
    return (parse_time(until) - NOW) // TICK if until else NOT_THERE
