"""The story of a run: check the meters, list the due hours, declare their totals, send them, settle them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from billing.errors import UnavailableError
from billing.metering import hours as table
from billing.metering.hours import Declaration, Key, UsageHour, batches
from billing.metering.plan import UNLINKED, MeterEvent, Refusal, meter_events, planned
from billing.metering.sending import MeterEventSender, Outcome
from billing.tables.subscriptions import SubscriptionRecord, subscriptions_of
from billing.tables.table import is_transient
from billing.telemetry import logger

# A run that fails at this many units one after the other has another trouble than one organisation's data.
FAILURES_IN_A_ROW = 5


@dataclass(slots=True)
class RunSummary:
    """Say what a run did: hours looked at, hours and events by what became of them.

    `left` are the hours looked at that stay due; `complete` is False where the time ran out before all were looked at;
    `failures` counts the parts that raised, and `last_problem` is why the last hour was left.
    """

    hours: int = 0
    settled: int = 0
    events_sent: int = 0
    left: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    complete: bool = True
    last_problem: str | None = None

    def add(self, other: RunSummary) -> None:
        """Add what a part of the run did."""
        self.hours += other.hours
        self.settled += other.settled
        self.events_sent += other.events_sent
        self.left += other.left
        self.refused += other.refused
        self.failures += other.failures
        self.complete = self.complete and other.complete
        self.last_problem = other.last_problem or self.last_problem

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as the function answers it."""
        return {
            "hours": self.hours,
            "settled": self.settled,
            "events_sent": self.events_sent,
            "refused": dict(self.refused),
            "left": self.left,
            "failures": self.failures,
            "complete": self.complete,
            "last_problem": self.last_problem,
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """Hold what became of an hour's events."""

    declaration: Declaration
    events: Sequence[MeterEvent]
    outcomes: Sequence[Outcome]

    @property
    def refusal(self) -> Refusal | None:
        """Return why Stripe refuses the hour, naming the meter; None where it does not."""
        for event, outcome in zip(self.events, self.outcomes, strict=True):
            if isinstance(outcome, Refusal):
                return Refusal(outcome.code, f"{event.event_name}: {outcome.message}")
        return None

    @property
    def accepted(self) -> dict[str, int]:
        """Return the totals that Stripe has, these and earlier ones."""
        refused = {
            event.event_name
            for event, outcome in zip(self.events, self.outcomes, strict=True)
            if isinstance(outcome, Refusal)
        }
        return {name: total for name, total in self.declaration.totals.items() if name not in refused}

    @property
    def named(self) -> dict[str, str]:
        """Return the hour's key for a log line."""
        return _named(self.declaration.hour.key)


@dataclass(frozen=True, slots=True)
class Run:
    """Work through due hours, `unit` of them together.

    `now` answers with the present moment, `may_continue` whether there is time for more work; `executor` makes the
    calls of one step side by side.
    """

    sender: MeterEventSender
    unit: int
    executor: ThreadPoolExecutor
    now: Callable[[], datetime]
    may_continue: Callable[[], bool]
    summary: RunSummary = field(default_factory=RunSummary)

    def work_off(self, due: Iterable[Key]) -> RunSummary:
        """Work through hours until there are no more, or no more time. What is not settled stays due.

        An error that is not Stripe's nor DynamoDB's is searched for by halves, so that one organisation's item never
        stops the others; it is logged and counted as a failure.
        """
        remaining = iter(due)
        failures_in_a_row = 0
        while unit := list(islice(remaining, self.unit)):
            if not self.may_continue() or failures_in_a_row >= FAILURES_IN_A_ROW:
                self.summary.complete = False
                break
            failures = self.summary.failures
            self._work_on(unit)
            failures_in_a_row = failures_in_a_row + 1 if self.summary.failures > failures else 0
        return self.summary

    def _work_on(self, keys: Sequence[Key]) -> None:
        try:
            hours, subscriptions = self._read(keys)
            self._bill(hours, subscriptions)
        except Exception as error:
            if not is_transient(error) and len(keys) > 1:
                middle = len(keys) // 2
                self._work_on(keys[:middle])
                self._work_on(keys[middle:])
                return
            logger.exception(
                "A part of a run cannot be worked off; it stays due",
                extra=_named(keys[0]) | {"hours": len(keys)},
            )
            problem = f"{type(error).__name__}: {error}"
            self.summary.add(RunSummary(hours=len(keys), left=len(keys), failures=1, last_problem=problem))

    def _read(self, keys: Sequence[Key]) -> tuple[list[UsageHour], dict[str, SubscriptionRecord]]:
        hours = [hour for part in self.executor.map(table.read_hours, batches(keys, table.READ_BATCH)) for hour in part]
        unlinked = sorted({hour.organization_id for hour in hours if hour.reported_to is None})
        subscriptions: dict[str, SubscriptionRecord] = {}
        for part in self.executor.map(subscriptions_of, batches(unlinked, table.READ_BATCH)):
            subscriptions |= part
        return hours, subscriptions

    def _bill(self, hours: Sequence[UsageHour], subscriptions: Mapping[str, SubscriptionRecord]) -> None:
        now = self.now()
        declarations: list[Declaration] = []
        unsent: list[UsageHour] = []
        refusals: list[tuple[UsageHour, Refusal]] = []
        for hour in hours:
            plan = planned(hour, subscriptions.get(hour.organization_id), now)
            if plan is None:
                unsent.append(hour)
            elif isinstance(plan, Refusal):
                refusals.append((hour, plan))
            else:
                declarations.append(plan)
        tally = RunSummary(hours=len(hours))
        tally.settled += sum(self._write([table.settling_unsent(hour) for hour in unsent]))
        self._refuse(refusals, subscriptions, tally)
        self._settle(self._send(self._declare(declarations, now)), tally)
        tally.left = tally.hours - tally.settled - tally.refused.total()
        # At the end: a unit that raises is worked on again, in halves.
        self.summary.add(tally)

    def _refuse(
        self,
        refusals: Sequence[tuple[UsageHour, Refusal]],
        subscriptions: Mapping[str, SubscriptionRecord],
        tally: RunSummary,
    ) -> None:
        unlinked: dict[str, list[tuple[UsageHour, Refusal]]] = {}
        others = []
        for hour, refusal in refusals:
            if refusal.code in UNLINKED:
                unlinked.setdefault(hour.organization_id, []).append((hour, refusal))
            else:
                others.append((hour, refusal))
        held = self._write([table.refusing_unsent(hour, str(refusal)) for hour, refusal in others])
        tally.refused.update(refusal.code for (_, refusal), is_done in zip(others, held, strict=True) if is_done)
        groups = [group for its in unlinked.values() for group in batches(its, table.REFUSE_BATCH)]
        for group, is_done in zip(groups, self.executor.map(self._refuse_unlinked(subscriptions), groups), strict=True):
            if is_done:
                tally.refused.update(refusal.code for _, refusal in group)

    def _refuse_unlinked(
        self, subscriptions: Mapping[str, SubscriptionRecord]
    ) -> Callable[[Sequence[tuple[UsageHour, Refusal]]], bool]:
        def refuse(group: Sequence[tuple[UsageHour, Refusal]]) -> bool:
            organization_id = group[0][0].organization_id
            record = subscriptions.get(organization_id)
            return table.refuse_while_unlinked(organization_id, [(hour, str(why)) for hour, why in group], record)

        return refuse

    def _declare(self, declarations: Sequence[Declaration], now: datetime) -> list[Declaration]:
        held = self._write([table.declaring(declaration, now) for declaration in declarations])
        return [declaration for declaration, is_ours in zip(declarations, held, strict=True) if is_ours]

    def _send(self, declarations: Sequence[Declaration]) -> list[Sent]:
        events = [meter_events(declaration) for declaration in declarations]
        outcomes = iter(self.sender.send([event for its in events for event in its]))
        return [
            Sent(declaration, its, list(islice(outcomes, len(its))))
            for declaration, its in zip(declarations, events, strict=True)
        ]

    def _settle(self, sent: Sequence[Sent], tally: RunSummary) -> None:
        now = self.now()
        statements: list[dict[str, Any]] = []
        codes: list[str] = []
        for each in sent:
            tally.events_sent += each.outcomes.count(None)
            unsent = next((outcome for outcome in each.outcomes if isinstance(outcome, UnavailableError)), None)
            if unsent is not None:
                tally.last_problem = str(unsent)
                logger.warning("An hour could not be sent; it stays due", extra=each.named | {"reason": str(unsent)})
            elif each.refusal is not None:
                logger.error("Stripe refuses an hour", extra=each.named | {"refused": str(each.refusal)})
                statements.append(table.refusing(each.declaration, each.accepted, str(each.refusal), now))
                codes.append(each.refusal.code)
            elif not each.declaration.doubt_until:
                statements.append(table.settling(each.declaration, now))
                codes.append("")
        for code, is_done in zip(codes, self._write(statements), strict=True):
            if is_done and code:
                tally.refused[code] += 1
            elif is_done:
                tally.settled += 1

    def _write(self, statements: Sequence[dict[str, Any]]) -> list[bool]:
        return [
            held for part in self.executor.map(table.write, batches(statements, table.WRITE_BATCH)) for held in part
        ]


def _named(key: Key) -> dict[str, str]:
    return {"organization_id": key[0], "window_start": key[1]}
