"""What is known of one hour at a moment: in its item, by its senders, at Stripe.

Times are ticks as seen from now, so that nothing depends on how late it is: `since` is so many ticks ago, `doubt` and
`others` end in so many ticks and are over at 0. Meters are numbered as in `METERS`. All states are tuples: equal, and
hashed, by what they hold.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from billing.metering.plan import SENDER_LIFETIME

TICK = timedelta(minutes=8)
LIFETIME = SENDER_LIFETIME // TICK
"""A sender lives so many ticks after it planned; two, so that of two overlapping ones one is over before the other."""

NOT_THERE = -1
"""A time that an item does not have, a total that nobody reported, a comparison that is not under way."""

Totals = tuple[int, ...]
"""A total for each meter; () where there is none of any."""


class Item(NamedTuple):
    """The hour's item, with the attributes of `metering/__init__.py`."""

    counts: Totals
    due: bool = True
    version: int = 0
    revision: int = 0
    sending: Totals = ()
    since: int = NOT_THERE
    doubt: int = NOT_THERE
    others: int = NOT_THERE
    reported: Totals = ()
    refused: bool = False


class Sender(NamedTuple):
    """A run, or a report of the service, from the moment it has read and planned.

    `version` and `read_revision` are the item's as it was read; `counts` are those it read, and so the totals it sends;
    `doubt` and `others` are its declaration's. `events` are the meters that it has yet to get a response for, `refused`
    those that Stripe refused, `lost` those that an attempt without a response was made for. `known` is what it may put
    down as reported of a refused one. With `is_request` it is no sender, but what one has sent and is still on its way.
    """

    name: int
    is_declared: bool
    age: int
    version: int
    read_revision: int
    counts: Totals
    revision: int
    doubt: int
    others: int
    events: tuple[int, ...]
    refused: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    known: Totals = ()
    is_request: bool = False


Identifier = tuple[int, int, int]
"""Of an event: the meter, the revision, the value."""


class Counted(NamedTuple):
    """What Stripe counts of a meter, under both readings of "most recent".

    `revision` is that of the latest timestamp. `dropped` is the revision of an event that Stripe took and did not
    count, as long as nothing newer came and nobody found out.
    """

    by_arrival: int = 0
    by_timestamp: int = 0
    revision: int = NOT_THERE
    dropped: int = NOT_THERE


class Stripe(NamedTuple):
    """What Stripe knows: the identifiers it has seen, and what it counts of each meter."""

    seen: frozenset[Identifier]
    counted: tuple[Counted, ...]


class Left(NamedTuple):
    """How often the rare things may still happen."""

    comparisons: int
    drops: int


class State(NamedTuple):
    """Everything. `comparing` is the version of the item that a comparison read which has yet to write.

    `clock` and `started`, and the senders' names, are for people: `reduction.py` takes them out.
    """

    item: Item
    stripe: Stripe
    senders: tuple[Sender, ...]
    comparing: int
    left: Left
    clock: int = 0
    started: int = 0
