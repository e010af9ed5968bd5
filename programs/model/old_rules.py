"""The rules before an item had a version. They have three holes, which a search has to find.

To declare, a sender needed a due hour and the revision that it had read; to settle, the revision of its declaration.
Who else might still send was reckoned from the time of the last declaration, and forgotten at a settlement.
"""

from __future__ import annotations

from programs.model.bounds import Bounds
from programs.model.rules import Plan, Rules
from programs.model.state import LIFETIME, NOT_THERE, Item, Sender


class OldRules(Rules):
    """The protocol as it was."""

    def plan(self, item: Item) -> Plan | None:
        if not item.sending and item.reported == item.counts:
            return None
        known = () if item.sending else item.reported
        events = tuple(meter for meter, count in enumerate(item.counts) if not known or known[meter] != count)
        if item.sending == item.counts and item.doubt != 0:
            return Plan(item.revision, item.doubt, NOT_THERE, events)
        doubt = item.doubt
        if item.sending and item.sending != item.counts:
            doubt = max(doubt, LIFETIME - item.since)
        return Plan(item.revision + 1, doubt if doubt > 0 else NOT_THERE, NOT_THERE, events)

    def may_declare(self, item: Item, sender: Sender) -> bool:
        return item.due and item.revision == sender.read_revision

    def is_overtaken(self, item: Item, sender: Sender) -> bool:
        return item.revision != sender.read_revision

    def may_conclude(self, item: Item, sender: Sender) -> bool:
        return item.revision == sender.revision

    def declared(self, item: Item, sender: Sender) -> Item:
        return super().declared(item, sender)._replace(version=item.version)

    def concluded(self, item: Item, sender: Sender) -> Item:
        # In doubt nothing was written.
        return item if self.is_in_doubt(sender) else super().concluded(item, sender)._replace(version=item.version)

    def settled_unsent(self, item: Item, sender: Sender) -> Item:
        return super().settled_unsent(item, sender)._replace(version=item.version)


HOLES = (
    Bounds("a total declared again is overlooked", values=((1, 2),), at_once=2),
    Bounds("the end of a doubt forgets a sender", values=((5, 6, 7),), at_once=2, reading_at_once=1),
    Bounds(
        "two senders of the same totals both count as the last",
        values=((3, 4), (120, 150)),
        at_once=2,
        reading_at_once=1,
        reported=True,
        time_passes=False,
    ),
)
"""Each hole, and the bounds within which it is the first that a search finds."""
