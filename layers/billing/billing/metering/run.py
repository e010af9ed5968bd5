"""The story of a run: check the meters, list the due hours, declare their totals, send them, settle them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from billing.batches import batches
from billing.errors import BillingError, RefusedError, UnavailableError
from billing.invoices.closing import take_late
from billing.metering import due, writes
from billing.metering.hour import Declaration, Key, Late, Link, MeterEvent, Refusal, UsageHour
from billing.metering.limits import note_limits
from billing.metering.newest import send_newest_again
from billing.metering.outgoing import Outgoing, in_rounds
from billing.metering.plan import UNLINKED, meter_events, plan
from billing.metering.sending import MeterEventSender
from billing.metering.writes import Write
from billing.meters import LAST_METERS
from billing.tables.table import is_transient, is_transient_code
from billing.telemetry import described, logger

# A run in which this many units, one after the other, met trouble and came to nothing has another trouble than one
# organisation's data: it gives up, so that an outage of Stripe's costs a few calls and not one for every due hour.
FRUITLESS_UNITS = 5
# What becomes of an hour that was sent, beside the code of a refusal.
SETTLED, RELEASED = "settled", "released"


@dataclass(slots=True)
class RunSummary:
    """What a run did: hours looked at, hours and events by what became of them.

    `accepted` are hours of which Stripe accepted every event, settled or not; `unsent` are those that it could not be
    told of; `failures` counts the batches that raised; `last_problem` is why the last hour was left. `complete` is
    False where not all hours were looked at: the time ran out, or it `gave_up`.
    """

    hours: int = 0
    settled: int = 0
    events_sent: int = 0
    accepted: int = 0
    unsent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    complete: bool = True
    gave_up: bool = False
    last_problem: str | None = None

    @property
    def left(self) -> int:
        """Return how many of the hours looked at stay due."""
        return self.hours - self.settled - self.refused.total()

    @property
    def progress(self) -> tuple[int, int]:
        """Return how much went well so far, and how much did not."""
        return self.settled + self.events_sent + self.refused.total(), self.unsent + self.failures

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as the function returns it."""
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
class Run:
    """A pass through due hours, `unit` of them together.

    `now` returns the present moment, `may_continue` whether there is time for more work; `executor` makes the calls of
    one step side by side.
    """

    sender: MeterEventSender
    unit: int
    executor: ThreadPoolExecutor
    now: Callable[[], datetime]
    may_continue: Callable[[], bool]
    summary: RunSummary = field(default_factory=RunSummary)
    # Declared and not sent yet: what did not fill a whole request goes along with the next unit.
    waiting: list[tuple[MeterEvent, Outgoing]] = field(default_factory=list)

    def process(self, keys: Iterable[Key]) -> RunSummary:
        """Process hours until there are no more, or no more time. What is not settled stays due."""
        summary, remaining = self.summary, iter(keys)
        fruitless = 0
        while unit := list(islice(remaining, self.unit)):
            if not self.may_continue() or fruitless >= FRUITLESS_UNITS:
                summary.complete, summary.gave_up = False, fruitless >= FRUITLESS_UNITS
                break
            good, bad = summary.progress
            self._declare_due(unit)
            self._send(len(self.waiting) - len(self.waiting) % self.sender.events_a_call)
            if summary.progress[0] > good:
                fruitless = 0
            elif summary.progress[1] > bad:
                fruitless += 1
        self._send(len(self.waiting))
        if summary.unsent and not self.may_continue():
            summary.complete = False
        return summary

    def _declare_due(self, keys: Sequence[Key]) -> None:
        """Read and declare due hours; refuse and settle those for which nothing is to be sent.

        An error that is not Stripe's nor DynamoDB's is searched for by halves, so that one organisation's item never
        stops the others; it is logged and counted as a failure.
        """
        try:
            hours, links = self._read(keys)
            for key, error in note_limits(hours, links, self.now()):
                self._fail("Limits cannot be looked at; the hours are sent", key, error)
            self._declare_or_refuse(hours, links)
        except Exception as error:
            if not is_transient(error) and len(keys) > 1:
                middle = len(keys) // 2
                self._declare_due(keys[:middle])
                self._declare_due(keys[middle:])
                return
            self.summary.hours += len(keys)
            self._fail("Hours cannot be processed; they stay due", keys[0], error)

    def _fail(self, message: str, key: Key, error: Exception) -> None:
        logger.error(message, extra=_log_fields(key) | described(error))
        self.summary.failures += 1
        self.summary.last_problem = str(error) if isinstance(error, BillingError) else type(error).__name__

    def _read(self, keys: Sequence[Key]) -> tuple[list[UsageHour], dict[str, Link]]:
        parts = self.executor.map(due.read_due, batches(keys, due.READ_BATCH))
        # Oldest first: DynamoDB returns a batch in any order.
        hours = sorted((hour for part in parts for hour in part), key=lambda hour: hour.window_start)
        organization_ids = sorted({hour.organization_id for hour in hours})
        links: dict[str, Link] = {}
        for part in self.executor.map(due.read_links, batches(organization_ids, due.READ_BATCH)):
            links |= part
        return hours, links

    def _declare_or_refuse(self, hours: Sequence[UsageHour], links: Mapping[str, Link]) -> None:
        now = self.now()
        declared: list[tuple[Declaration, list[MeterEvent]]] = []
        unsent: list[UsageHour] = []
        refusals: list[tuple[UsageHour, Refusal]] = []
        late: list[tuple[UsageHour, Late]] = []
        settled_hours = due.settled_hours(hours, links, now)
        for hour in hours:
            decision = plan(hour, links.get(hour.organization_id), now, is_settled=hour.key in settled_hours)
            if decision is None:
                unsent.append(hour)
            elif isinstance(decision, Late):
                late.append((hour, decision))
            elif isinstance(decision, Refusal):
                refusals.append((hour, decision))
            else:
                declared.append((decision, meter_events(decision)))
        settled = self._write([writes.settling_unsent(hour) for hour in unsent])
        settled += self._take_late(late, now)
        refused = self._refuse(refusals, links)
        written = self._write([writes.declaring(declaration, now) for declaration, _ in declared])
        # At the end: a unit that raises is worked on again, in halves.
        self.summary.hours += len(hours)
        self.summary.settled += sum(settled)
        self.summary.refused.update(refused)
        for (declaration, events), is_declared in zip(declared, written, strict=True):
            if is_declared:
                outgoing = Outgoing(declaration, events)
                self.waiting.extend((event, outgoing) for event in events)

    def _take_late(self, late: Sequence[tuple[UsageHour, Late]], now: datetime) -> list[bool]:
        """Have what late hours owe written, and settle them then, if they still count the same."""
        by_organization: dict[str, list[tuple[UsageHour, Late]]] = {}
        for hour, decision in late:
            by_organization.setdefault(hour.organization_id, []).append((hour, decision))
        updates = []
        for organization_id, its_hours in by_organization.items():
            try:
                take_late(organization_id, [hour.window_start for hour, _ in its_hours], now)
            except Exception as error:
                self._fail("What late hours owe could not be written; they stay due", its_hours[0][0].key, error)
            else:
                updates += [writes.settling_late(hour, decision.totals, now) for hour, decision in its_hours]
        return self._write(updates)

    def _refuse(self, refusals: Sequence[tuple[UsageHour, Refusal]], links: Mapping[str, Link]) -> list[str]:
        """Mark hours refused before anything is sent for them; return the reasons' codes of those that are."""
        unlinked: dict[str, list[tuple[UsageHour, Refusal]]] = {}
        others = []
        for hour, refusal in refusals:
            if refusal.code in UNLINKED:
                unlinked.setdefault(hour.organization_id, []).append((hour, refusal))
            else:
                others.append((hour, refusal))
        groups = [group for refused in unlinked.values() for group in batches(refused, writes.REFUSE_BATCH)]

        def refuse(group: Sequence[tuple[UsageHour, Refusal]]) -> bool:
            organization_id = group[0][0].organization_id
            marks = [(hour, str(refusal)) for hour, refusal in group]
            return writes.refuse_while_unlinked(organization_id, marks, links.get(organization_id))

        done = zip(groups, self.executor.map(refuse, groups), strict=True)
        codes = [refusal.code for group, is_done in done if is_done for _, refusal in group]
        written = self._write([writes.refusing_unsent(hour, str(refusal)) for hour, refusal in others])
        return codes + [refusal.code for (_, refusal), is_done in zip(others, written, strict=True) if is_done]

    def _send(self, number: int) -> None:
        """Send the first `number` waiting events, and settle the hours whose last event is among them."""
        sending = self.waiting[:number]
        del self.waiting[:number]
        sent: list[Outgoing] = []
        for round_of_events in in_rounds(sending, self.sender.events_a_call):
            outcomes = self.sender.send([event for event, _ in round_of_events])
            for (event, outgoing), outcome in zip(round_of_events, outcomes, strict=True):
                outgoing.outcomes[event.event_name] = outcome
                if len(outgoing.outcomes) == len(outgoing.events):
                    sent.append(outgoing)
        if sent:
            try:
                self._keep_newest_last(sent)
                self._settle(sent)
            except Exception as error:
                # Stripe has the totals and the hours stay due: the next run sends the same ones again.
                self._fail("Hours that were sent cannot be settled", sent[0].declaration.hour.key, error)

    def _keep_newest_last(self, sent: Sequence[Outgoing]) -> None:
        """Have the newest hour of a period sent again after an older one: see `metering/newest.py`."""
        newest: dict[str, str] = {}
        for outgoing in sent:
            hour = outgoing.declaration.hour
            if not outgoing.meters.isdisjoint(LAST_METERS):
                newest[hour.organization_id] = max(hour.window_start, newest.get(hour.organization_id, ""))
        send_newest_again(newest, self.now())

    def _settle(self, sent: Sequence[Outgoing]) -> None:
        """Settle, refuse or release the hours that were sent; where that fails, they stay due as they are."""
        now = self.now()
        conclusions: list[tuple[Write, str]] = []
        for outgoing in sent:
            declaration, refusal, problem = outgoing.declaration, outgoing.refusal, outgoing.problem
            self.summary.events_sent += list(outgoing.outcomes.values()).count(None)
            self.summary.accepted += refusal is None and problem is None
            if problem is not None:
                self._leave(declaration, problem)
            elif refusal is not None and (declaration.others_until or not outgoing.is_certain):
                # Another sender, or an attempt of this one that is still on its way, may yet get it accepted.
                self.summary.last_problem = refusal.message
            elif refusal is not None:
                conclusions.append((self._refusing(outgoing, refusal, now), refusal.code))
            elif declaration.doubt_until:
                # An older total may still arrive after this one.
                conclusions.append((writes.releasing(declaration), RELEASED))
            else:
                conclusions.append((writes.settling(declaration, outgoing.meters, now), SETTLED))
        done = self._write([update for update, _ in conclusions])
        for (_, outcome), is_done in zip(conclusions, done, strict=True):
            if is_done and outcome == SETTLED:
                self.summary.settled += 1
            elif is_done and outcome != RELEASED:
                self.summary.refused[outcome] += 1

    def _leave(self, declaration: Declaration, problem: UnavailableError) -> None:
        fields = _log_fields(declaration.hour.key) | {"reason": str(problem)}
        logger.warning("An hour could not be sent; it stays due", extra=fields)
        self.summary.unsent += 1
        self.summary.last_problem = str(problem)

    def _refusing(self, outgoing: Outgoing, refusal: Refusal, now: datetime) -> Write:
        fields = _log_fields(outgoing.declaration.hour.key) | {"refused": str(refusal)}
        logger.error("Stripe refuses an hour", extra=fields)
        return writes.refusing(outgoing.declaration, outgoing.refusals, outgoing.meters, str(refusal), now)

    def _write(self, updates: Sequence[Write]) -> list[bool]:
        """Carry out conditional writes and say of each whether it was done; what was not leaves its hour due."""
        results = self.executor.map(writes.write, batches(updates, writes.WRITE_BATCH))
        codes = [code for result in results for code in result]
        for update, code in zip(updates, codes, strict=True):
            if code not in ("", writes.CONDITION_FAILED) and not is_transient_code(code):
                self._fail("DynamoDB refuses a write", update.key, RefusedError(f"DynamoDB says {code}"))
        return [not code for code in codes]


def _log_fields(key: Key) -> dict[str, str]:
    return {"organization_id": key[0], "window_start": key[1]}
