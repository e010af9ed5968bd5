"""An executor without threads: what it is given is done in the order in which it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


class InlineExecutor:
    """An executor that makes its calls one after the other, in the thread that asks."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        return iter([function(*arguments) for arguments in zip(*iterables, strict=True)])
