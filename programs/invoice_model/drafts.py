"""How long a draft waits: a search of its own, through all that can happen in the three days after a period's end.

Time goes on in steps of ten minutes. A run looks at the drafts within 80 minutes after the one before. The draft's
event comes before Stripe makes it final, which it does an hour after the period's end if nobody says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from billing.clock import HOUR
from billing.invoices.drafts import UNTIL_NEXT_LOOK, WAITS_AT_MOST, waits_longer_until, waits_until
from programs.invoice_model.state import STARTS
from programs.model.breadth_first import Found, breadth_first

ENDS_AT = STARTS[1]
TICK = timedelta(minutes=10)
LOOKS_WITHIN = timedelta(minutes=80)


class Draft(NamedTuple):
    """A draft at a moment: when Stripe makes it final, and what its item says of that (None: there is none yet).

    `looked_at` is when the last run looked. Hours of the period are due; they `were_due` when a run saw the
    draft, and all the time since.
    """

    now: datetime = ENDS_AT
    finalizes_at: datetime = ENDS_AT + HOUR
    stored: datetime | None = None
    looked_at: datetime = ENDS_AT
    is_due: bool = False
    were_due: bool = False
    is_final: bool = False


class DraftRules:
    """The rules as the code has them."""

    def first_wait(self, finalizes_at: datetime) -> datetime:
        """Let a new draft wait for the hour in which its period ends."""
        return max(finalizes_at, waits_until(ENDS_AT))

    def looks_ahead(self) -> timedelta:
        """Look at the drafts that are made final before the next run looks."""
        return UNTIL_NEXT_LOOK

    def longer(self, finalizes_at: datetime) -> datetime:
        """Let a draft wait longer whose period has hours that are due."""
        return waits_longer_until(finalizes_at, ENDS_AT)


class LeavesANewDraft(DraftRules):
    """Let a new draft become final when Stripe makes it so."""

    def first_wait(self, finalizes_at: datetime) -> datetime:
        return finalizes_at


class LooksAnHourAhead(DraftRules):
    """Look at the drafts of the next hour alone, though the next run may be some minutes late."""

    def looks_ahead(self) -> timedelta:
        return HOUR


class NeverWaitsLonger(DraftRules):
    """Let a draft become final though hours of its period are due."""

    def longer(self, finalizes_at: datetime) -> datetime:
        return finalizes_at


class WaitsForEver(DraftRules):
    """Let a draft wait for as long as hours of its period are due."""

    def longer(self, finalizes_at: datetime) -> datetime:
        return finalizes_at + 2 * HOUR


def search_drafts(rules: DraftRules) -> Found:
    """Look at every state there is, or at those up to the first in which something does not hold."""

    def following(draft: Draft) -> Iterator[tuple[Draft, tuple[Draft, Draft]]]:
        return ((after, (draft, after)) for _, after in draft_steps(draft, rules))

    def tell(way: Sequence[Draft]) -> tuple[str, ...]:
        return tuple(
            next(text for text, after in draft_steps(before, rules) if after == wanted)
            for before, wanted in pairwise(way)
        )

    return breadth_first(Draft(), following, lambda step: next(broken_by(*step), None), tell)


def draft_steps(draft: Draft, rules: DraftRules) -> Iterator[tuple[str, Draft]]:
    """Yield, in words, everything that can happen next, and what the draft is then."""
    if draft.is_final:
        return
    if draft.finalizes_at <= draft.now:
        yield "Stripe makes it final", draft._replace(is_final=True)
        return
    if draft.stored is None:
        until = rules.first_wait(draft.finalizes_at)
        yield f"its event comes, it waits until {until:%d %H:%M}", draft._replace(finalizes_at=until, stored=until)
    yield "an hour of it becomes due", draft._replace(is_due=True)
    yield "its hours are sent", draft._replace(is_due=False, were_due=False)
    if draft.now - draft.looked_at >= TICK:
        yield "a run looks", _looked_at(draft, rules)
    has_come = draft.stored is not None or draft.now + TICK < draft.finalizes_at
    if has_come and draft.now + TICK <= draft.looked_at + LOOKS_WITHIN:
        yield "ten minutes pass", draft._replace(now=draft.now + TICK)


def _looked_at(draft: Draft, rules: DraftRules) -> Draft:
    after = draft._replace(looked_at=draft.now, were_due=draft.is_due and draft.stored is not None)
    is_listed = draft.stored is not None and draft.now <= draft.stored <= draft.now + rules.looks_ahead()
    if not is_listed or not draft.is_due or draft.stored is None:
        return after
    until = rules.longer(draft.stored)
    return after._replace(finalizes_at=until, stored=until)


def broken_by(before: Draft, after: Draft) -> Iterator[str]:
    """Yield, in words, what does not hold in a step."""
    if after.finalizes_at < before.finalizes_at:
        yield "a draft that waits longer already is left alone"
    if after.is_final and after.were_due and after.now < ENDS_AT + WAITS_AT_MOST:
        yield "a draft is not final while hours are due that a run has seen, before 72 hours are over"
    if after.is_final and after.looked_at == ENDS_AT:
        yield "a draft is not final before a run has looked"
    if after.now > ENDS_AT + WAITS_AT_MOST:
        yield "a draft is final after 72 hours"


WEAKER_DRAFTS = (LeavesANewDraft(), LooksAnHourAhead(), NeverWaitsLonger(), WaitsForEver())
