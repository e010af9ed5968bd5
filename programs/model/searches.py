"""The searches that `make model` prints and `tests/model` runs: quick ones, and those that take minutes."""

from __future__ import annotations

from programs.model.bounds import Bounds

_ONE_METER, _TWO_METERS = ((5, 6),), ((3, 4), (120, 150))

QUICK = (
    Bounds("two senders", values=_ONE_METER, at_once=2, lost_responses=True),
    Bounds("one sender, two meters, refusals", values=((3, 4), (120,)), at_once=1, lost_responses=True, refusals=True),
)
DEEP = (
    Bounds("two senders, three counts", values=((5, 6, 7),), at_once=2),
    Bounds("two senders, refusals", values=_ONE_METER, at_once=2, lost_responses=True, refusals=True),
    Bounds("two senders, a comparison, a drop", values=_ONE_METER, at_once=2, comparisons=1, drops=1),
    Bounds("two senders, two meters, no time", values=_TWO_METERS, at_once=2, time_passes=False),
    Bounds("two senders, two meters, stream", values=_TWO_METERS, at_once=2, stream=True),
    Bounds("four senders", values=_ONE_METER, at_once=4),
)
