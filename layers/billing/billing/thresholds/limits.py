"""Which limits an organisation can have, and which of them a period has reached. Nothing here does I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from billing.errors import InvalidRequestError
from billing.meters import METERS
from billing.periods import Totals
from billing.stripe_limits import LARGEST_VALUE

Limits = Mapping[str, Sequence[int]]
"""Numbers a billing period, by the event name of a meter."""

MOST_LIMITS = 10


def checked(limits: Mapping[str, Sequence[Any]]) -> dict[str, list[int]]:
    """Return the limits, in order and each once; a meter without any is left out.

    Raises:
        InvalidRequestError: no such meter, too many limits of one, or one that is no whole number above zero.
    """
    names = [meter.event_name for meter in METERS]
    result = {}
    for name, numbers in limits.items():
        if name not in names:
            raise InvalidRequestError("thresholds", f"{name} is no meter; the meters are {', '.join(names)}")
        if len(numbers) > MOST_LIMITS:
            raise InvalidRequestError("thresholds", f"A meter has at most {MOST_LIMITS} limits")
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= LARGEST_VALUE:
                raise InvalidRequestError("thresholds", f"A limit is a whole number from 1 to {LARGEST_VALUE}")
        if numbers:
            result[name] = sorted(set(numbers))
    return result


def to_text(limits: Limits) -> str:
    """Write limits as the record has them."""
    return json.dumps({name: list(numbers) for name, numbers in limits.items()}, separators=(",", ":"))


def from_text(text: str) -> dict[str, list[int]]:
    """Read what `to_text` wrote.

    Raises:
        ValueError: another writer has damaged it.
    """
    try:
        return checked(json.loads(text))
    except (AttributeError, TypeError, InvalidRequestError) as error:
        raise ValueError("thresholds is damaged: set it anew") from error


def reached(limits: Limits, counted: Totals, known: Mapping[str, Totals]) -> dict[str, dict[str, int]]:
    """Return the limits that a period has reached, each with what was counted when that was first seen.

    What is `known` stays, also where less is counted now; of a limit that is none any more it is forgotten.
    """
    result: dict[str, dict[str, int]] = {}
    for name, numbers in limits.items():
        for number in numbers:
            key, count = str(number), counted.get(name, 0)
            seen = known.get(name, {}).get(key)
            if seen is not None or count >= number:
                result.setdefault(name, {})[key] = count if seen is None else seen
    return result
