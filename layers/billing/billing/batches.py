"""Lists cut into the batches that an API takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut a list into lists of at most `size`, in order."""
    return [items[start : start + size] for start in range(0, len(items), size)]
