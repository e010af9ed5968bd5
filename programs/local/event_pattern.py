"""Which records a filter of an event source lets through: the part of the language that the template uses.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def patterns_of(criteria: Mapping[str, Any] | None) -> list[Any]:
    """Return the patterns of `FilterCriteria`, parsed; a record passes that matches one of them."""
    return [json.loads(each["Pattern"]) for each in (criteria or {}).get("Filters", ())]


def matches(pattern: Mapping[str, Any], record: Any) -> bool:
    """Say whether a record has all that a pattern names; at a leaf one of its list's rules has to hold.

    Raises:
        NotImplementedError: a rule that is neither a value nor `exists`; `exists` looks at leaves alone, as Lambda's.
    """
    for name, expected in pattern.items():
        value = record.get(name) if isinstance(record, Mapping) else None
        if isinstance(expected, Mapping):
            if not matches(expected, value):
                return False
        elif not any(_holds(rule, value) for rule in expected):
            return False
    return True


def _holds(rule: Any, value: Any) -> bool:
    if not isinstance(rule, Mapping):
        return bool(rule == value)
    if set(rule) != {"exists"}:
        raise NotImplementedError(f"the filter rule {rule}")
    is_leaf = value is not None and not isinstance(value, Mapping)
    return is_leaf is rule["exists"]
