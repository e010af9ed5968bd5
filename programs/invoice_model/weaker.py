"""The rules with one left out at a time: each has a scenario that ends wrong without it."""

from __future__ import annotations

from programs.invoice_model.rules import READ_HOUR, READ_PERIODS, Rules, total
from programs.invoice_model.scenarios import CLOSES, LATE, RENEWS, SWEPT, VOIDED, Scenario
from programs.invoice_model.state import Change, Follows, Hour, Invoice, Item, State


class TrustsTheFirstCount(Rules):
    """Count a period only while it is being settled: in use once."""

    def recounts_itself(self) -> bool:
        return False


class StoresWhatWasFetchedLong(Rules):
    """Store an invoice as it was fetched, though it has become final or void since: in use once."""

    def with_invoice(self, item: Item, period: int, fetched: Invoice, hour: Hour) -> Item:
        return super().with_invoice(item._replace(invoice=Invoice()), period, fetched, hour)


class ChangesOverOthers(Rules):
    """Write a period though somebody else has written it since it was read."""

    def may_change(self, state: State, change: Change) -> bool:
        return True


class ChecksWhatItWritesAlone(Rules):
    """Carry what periods owed when they were read, whatever they owe now."""

    def may_write(self, state: State, follows: Follows) -> bool:
        return are_as_read(state, follows, follows.changed)


class ChecksWhatOwesAlone(Rules):
    """Carry without a look at the periods that were not settled when they were read: in use once."""

    def may_write(self, state: State, follows: Follows) -> bool:
        owing = {period for period, is_settled in enumerate(follows.settled) if is_settled}
        return are_as_read(state, follows, follows.changed | owing)


class TellsWhateverItRead(Rules):
    """Write what periods tell, though they have been written since they were read: in use once."""

    def may_write(self, state: State, follows: Follows) -> bool:
        return super().may_write(state, follows) or set(follows.carried) == {None}


class AddsWhatIsOwed(Rules):
    """Add what is owed to what a period carries, instead of computing it anew."""

    def follows(self, state: State, phase: int) -> Follows:
        follows = super().follows(state, phase)
        carried = tuple(
            None if new is None else new + max(0, item.carried)
            for new, item in zip(follows.carried, state.items, strict=True)
        )
        return follows._replace(carried=carried)


class CarriesInThePeriodAlone(Rules):
    """Write the carrying hour after the period, in a write of its own that may never come."""

    def carrying(self, hour: Hour, carried: int) -> Hour:
        return hour


class CarriesWithoutMakingDue(Rules):
    """Carry in an hour without making it due."""

    def carrying(self, hour: Hour, carried: int) -> Hour:
        return super().carrying(hour, carried)._replace(is_due=hour.is_due)


class CarriesWithoutAVersion(Rules):
    """Carry in an hour without a new version, so that who is sending it settles it without."""

    def carrying(self, hour: Hour, carried: int) -> Hour:
        return super().carrying(hour, carried)._replace(version=hour.version)


class NeverRecounts(Rules):
    """Settle a late hour without counting its period anew."""

    def recounted(self, item: Item, hour: Hour, *, is_late: bool) -> Item:
        return item if is_late else super().recounted(item, hour, is_late=is_late)


class SettlesLateWhateverItCounts(Rules):
    """Settle a late hour though its count has changed since it was read."""

    def may_settle_late(self, now: Hour, before: Hour) -> bool:
        return now.version == before.version


class LeavesWhatStripeHas(Rules):
    """Settle an hour of a settled period without a count of it where Stripe has its total: in use once."""

    def plan(self, hour: Hour, phase: int, is_settled: bool) -> str:
        if not hour.is_sending and hour.reported == total(hour):
            return "settle unsent"
        return super().plan(hour, phase, is_settled)


class SendsWhateverIsSettled(Rules):
    """Send an hour though its period is settled."""

    def plan(self, hour: Hour, phase: int, is_settled: bool) -> str:
        return super().plan(hour, phase, is_settled=False)


class ReadsPeriodsFirst(Rules):
    """Read the periods before the hour."""

    def agenda(self) -> tuple[str, ...]:
        return READ_PERIODS, READ_HOUR


class LeavesTheRestToTheEvent(Rules):
    """Let the sweep leave what follows from a settled period to whoever has settled it: in use once."""

    def is_behind(self, state: State) -> bool:
        return False


WEAKER: tuple[tuple[Rules, Scenario], ...] = (
    (TrustsTheFirstCount(), CLOSES),
    (StoresWhatWasFetchedLong(), VOIDED),
    (ChangesOverOthers(), CLOSES),
    (ChecksWhatItWritesAlone(), LATE),
    (ChecksWhatOwesAlone(), RENEWS),
    (TellsWhateverItRead(), LATE),
    (AddsWhatIsOwed(), LATE),
    (CarriesInThePeriodAlone(), CLOSES),
    (CarriesWithoutMakingDue(), CLOSES),
    (CarriesWithoutAVersion(), LATE),
    (NeverRecounts(), CLOSES),
    (SettlesLateWhateverItCounts(), LATE),
    (LeavesWhatStripeHas(), CLOSES),
    (SendsWhateverIsSettled(), CLOSES),
    (ReadsPeriodsFirst(), CLOSES),
    (LeavesTheRestToTheEvent(), SWEPT),
)


def are_as_read(state: State, follows: Follows, periods: set[int]) -> bool:
    """Say whether nobody has written these periods since they were read."""
    return all(state.items[period].version == follows.versions[period] for period in periods)
