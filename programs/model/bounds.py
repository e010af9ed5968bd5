"""How much of everything a search allows. Corrections, runs and time have no bound."""

from __future__ import annotations

from dataclasses import dataclass

from programs.model.state import LIFETIME, NOT_THERE, Counted, Item, Left, State, Stripe


@dataclass(frozen=True, slots=True)
class Bounds:
    """`values` are the counts that each meter can have, the first one at the start.

    `at_once` is how many senders live at a time, `reading_at_once` how many of them may not have declared yet; over the
    `stream` a sender's events arrive together, else one after
    the other, in any order. With `reported` the hour is settled at the start. With `refusals` Stripe may refuse any
    event, with `lost_responses` it may take one and not say so. A sender lives for `lifetime` ticks.
    """

    name: str
    values: tuple[tuple[int, ...], ...]
    at_once: int
    reading_at_once: int = 9
    time_passes: bool = True
    stream: bool = False
    reported: bool = False
    lost_responses: bool = False
    refusals: bool = False
    comparisons: int = 0
    drops: int = 0
    lifetime: int = LIFETIME

    def start(self) -> State:
        """Return the state in which the search begins."""
        counts = tuple(values[0] for values in self.values)
        left = Left(self.comparisons, self.drops)
        if not self.reported:
            return State(Item(counts), Stripe(frozenset(), tuple(Counted() for _ in counts)), (), NOT_THERE, left)
        item = Item(counts, due=False, version=2, revision=1, reported=counts)
        seen = frozenset((meter, 1, count) for meter, count in enumerate(counts))
        counted = tuple(Counted(count, count, revision=1) for count in counts)
        return State(item, Stripe(seen, counted), (), NOT_THERE, left)
