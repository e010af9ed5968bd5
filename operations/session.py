"""What every command shares: its session, the options that several take, and the output."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress

from billing import clock

Item = TypeVar("Item")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]
Time = Annotated[str | None, typer.Option(metavar="TIME", help='Like "2026-11-23T08:00:00Z".')]


@dataclass(slots=True)
class Session:
    """The options before the command. `outputs` are the stack's, empty without a stack."""

    stack: str | None
    as_json: bool
    outputs: Mapping[str, str]
    out: Console
    err: Console

    def show(self, values: Mapping[str, Any], *renderables: Any) -> None:
        """Print the values for programs, or the renderables for people."""
        if self.as_json:
            self.out.print_json(json.dumps(values, default=str))
        else:
            for renderable in renderables:
                self.out.print(renderable)

    def progress(self, items: Iterable[Item], title: str, total: int) -> Iterator[Item]:
        """Yield the items with a progress bar, which is gone afterwards and never there for programs."""
        with Progress(console=self.err, transient=True, disable=self.as_json or not self.err.is_terminal) as bar:
            yield from bar.track(items, total=total, description=title)


def session_of(context: typer.Context) -> Session:
    """Return the session that the options before the command made."""
    session = context.find_object(Session)
    assert session is not None  # noqa: S101  # the app's callback has run
    return session


def read_time(text: str | None, default: datetime) -> datetime:
    """Read an option's time.

    Raises:
        BadParameter: it is no time; the command line exits with 2.
    """
    if text is None:
        return default
    try:
        return clock.parse_time(text)
    except ValueError:
        raise typer.BadParameter(f'{text!r} is no time like "2026-11-23T08:00:00Z"') from None


@contextlib.contextmanager
def without_metrics() -> Iterator[None]:
    """Drop the metrics that the functions' code prints for CloudWatch: here nobody collects them."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
