"""The protocol with one rule left out at a time. A search has to find what each of them is there for."""

from __future__ import annotations

from dataclasses import dataclass

from programs.model.bounds import Bounds
from programs.model.rules import Plan, Rules
from programs.model.state import LIFETIME, NOT_THERE, Item, Sender


class DeclaresWithoutVersion(Rules):
    def may_declare(self, item: Item, sender: Sender) -> bool:
        return item.revision == sender.read_revision


class SettlesWithoutVersion(Rules):
    def may_conclude(self, item: Item, sender: Sender) -> bool:
        return item.revision == sender.revision


class SettlesWithoutCounts(Rules):
    def has_counts_of(self, item: Item, sender: Sender) -> bool:
        return True


class ForgetsOthersAtSettlement(Rules):
    def settled(self, item: Item, sender: Sender) -> Item:
        after = super().settled(item, sender)
        return after if after.due else after._replace(others=NOT_THERE)


class ForgetsOthersAtDeclaration(Rules):
    def plan(self, item: Item) -> Plan | None:
        return super().plan(item._replace(others=NOT_THERE))


class OverlooksTheLastSender(Rules):
    def plan(self, item: Item) -> Plan | None:
        return super().plan(item._replace(since=NOT_THERE))


class ForgetsDoubtOfAResend(Rules):
    def plan(self, item: Item) -> Plan | None:
        return super().plan(item._replace(doubt=NOT_THERE) if item.sending == item.counts else item)


class KeepsTheRevisionAfterADoubt(Rules):
    def plan(self, item: Item) -> Plan | None:
        plan = super().plan(item)
        return plan._replace(revision=item.revision) if plan and item.sending == item.counts else plan


class KeepsTheRevisionOfOtherTotals(Rules):
    def plan(self, item: Item) -> Plan | None:
        plan = super().plan(item)
        return plan._replace(revision=item.revision) if plan and item.sending else plan


class SettlesInDoubt(Rules):
    def is_in_doubt(self, sender: Sender) -> bool:
        return False


class TrustsReportedAfterADeclaration(Rules):
    def plan(self, item: Item) -> Plan | None:
        plan = super().plan(item)
        if plan is None or not item.reported:
            return plan
        differing = tuple(meter for meter in plan.events if item.reported[meter] != item.counts[meter])
        return plan._replace(events=differing) if differing else None


class RefusesBesideOthers(Rules):
    def may_refuse(self, sender: Sender) -> bool:
        return not set(sender.refused) & set(sender.lost)


class RefusesAfterALostResponse(Rules):
    def may_refuse(self, sender: Sender) -> bool:
        return sender.others == NOT_THERE


class ComparesWithoutANewRevision(Rules):
    def made_unreported_due(self, item: Item, version: int) -> Item:
        return super().made_unreported_due(item, version)._replace(revision=item.revision)


class ComparesWithoutANewVersion(Rules):
    def made_unreported_due(self, item: Item, version: int) -> Item:
        return super().made_unreported_due(item, version)._replace(version=item.version)


@dataclass(frozen=True, slots=True)
class Weaker:
    """A rule left out, in words, and the bounds within which a search finds what that breaks."""

    left_out: str
    rules: Rules
    bounds: Bounds


_ONE_METER = Bounds("one meter", values=((5, 6),), at_once=2)
_TWO_METERS = Bounds("two meters", values=((3, 4), (120, 150)), at_once=2, reported=True)
_REPORTED = Bounds("one meter, reported", values=((5, 6),), at_once=2, reported=True)
_REFUSALS = Bounds("refusals", values=((5, 6),), at_once=2, refusals=True)
_DROPS = Bounds("drops", values=((5, 6),), at_once=2, comparisons=1, drops=1)
_LONG_LIVES = Bounds("long lives", values=((5, 6),), at_once=2, lifetime=LIFETIME + 1)

WEAKER = (
    Weaker("a declaration needs the version that was read", DeclaresWithoutVersion(), _ONE_METER),
    Weaker("a settlement needs the declaration's own version", SettlesWithoutVersion(), _TWO_METERS),
    Weaker("a settlement needs the counts that were sent", SettlesWithoutCounts(), _ONE_METER),
    Weaker("a settlement keeps who else may still send", ForgetsOthersAtSettlement(), _ONE_METER),
    Weaker("a declaration keeps who else may still send", ForgetsOthersAtDeclaration(), _ONE_METER),
    Weaker("a declaration reckons with the sender before it", OverlooksTheLastSender(), _ONE_METER),
    Weaker("a resend is in the doubt that the item tells of", ForgetsDoubtOfAResend(), _ONE_METER),
    Weaker("after a doubt a total is sent anew", KeepsTheRevisionAfterADoubt(), _ONE_METER),
    Weaker("other totals take another revision", KeepsTheRevisionOfOtherTotals(), _ONE_METER),
    Weaker("in doubt an hour is released, not settled", SettlesInDoubt(), _ONE_METER),
    Weaker("after a declaration every total is sent", TrustsReportedAfterADeclaration(), _REPORTED),
    Weaker("nothing is refused while others may send", RefusesBesideOthers(), _REFUSALS),
    Weaker("nothing is refused after a lost response", RefusesAfterALostResponse(), _REFUSALS),
    Weaker("a comparison takes a revision of its own", ComparesWithoutANewRevision(), _DROPS),
    Weaker("a comparison takes a version", ComparesWithoutANewVersion(), _DROPS),
    Weaker("nobody sends for longer than the lifetime", Rules(), _LONG_LIVES),
)
