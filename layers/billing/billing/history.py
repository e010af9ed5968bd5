"""What became of an hour's totals before they were what they are now: kept for whoever disputes a bill. No I/O.

An hour that Stripe was told once has no history: `reported` and `reported_at` say all of it. Whatever replaces or
removes them keeps them first, in one more element of the item's `history`:

    reported   what Stripe had accepted by then, until the next entry, and under which revision
    late       what was counted when its invoice was final already: nothing was sent
    carried    what the hour was to tell Stripe from then on beside its own count: what earlier periods owe

The first entry and the newest 20 are kept; how many were left out between them is kept as a number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["reported", "late", "carried"]
NEWEST = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """What was true of an hour from `at` on (a time as the table has it), by meter; `revision` of what was reported."""

    at: str
    kind: Kind
    totals: Mapping[str, int]
    revision: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """An hour's entries, oldest first; `left_out` are those between the first and the second that are not kept."""

    entries: tuple[Entry, ...] = ()
    left_out: int = field(default=0)


def read(text: str | None) -> History:
    """Read what `with_entries` wrote; what cannot be read is no history, for it never decides anything."""
    try:
        left_out, *entries = json.loads(text or "[0]")
        return History(tuple(map(_entry, entries)), int(left_out))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return History()


def _entry(values: Any) -> Entry:
    at, kind, totals, revision = values
    if kind not in get_args(Kind) or not isinstance(at, str):
        raise ValueError(f"{kind} is nothing that a history tells")
    return Entry(at, kind, {str(name): int(total) for name, total in totals.items()}, int(revision))


def with_entries(text: str | None, entries: Iterable[Entry]) -> str:
    """Return a history with these entries too, each once, and no longer than it may be."""
    before = read(text)
    kept = sorted(
        {(each.at, each.kind): each for each in (*entries, *before.entries)}.values(), key=lambda each: each.at
    )
    left_out = before.left_out + max(0, len(kept) - NEWEST - 1)
    kept = [*kept[:1], *kept[1:][-NEWEST:]]
    values = [[each.at, each.kind, dict(each.totals), each.revision] for each in kept]
    return json.dumps([left_out, *values], separators=(",", ":"))


def replaced(
    text: str | None, reported: Mapping[str, int], reported_at: str, reported_under: Mapping[str, int]
) -> str | None:
    """Return the history once what was reported is replaced or removed; None where nothing is to be kept of it."""
    if not reported or not reported_at:
        return None
    return with_entries(text, [Entry(reported_at, "reported", reported, max(reported_under.values(), default=0))])
