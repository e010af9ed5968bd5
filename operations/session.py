"""What every command shares: its session, the options that several take, and how it ends."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException
from rich.console import Console, RenderableType
from rich.progress import Progress
from rich.text import Text

from billing import clock
from billing.errors import BillingError
from operations.output import Output, as_json, standard_output

Item = TypeVar("Item")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]
Time = Annotated[str | None, typer.Option(metavar="TIME", help='Like "2026-11-23T08:00:00Z".')]

# What ends a command, or (where it goes on) one item of its work, without a trace: an error of ours or of a service.
FAILURES = (BillingError, BotoCoreError, ClientError, PynamoDBException)
# The exit codes, beside 0 and the wrong usage's 2.
FAILED, UNKNOWN, INTERRUPTED = 1, 3, 130


def _one(item: object) -> int:
    return 1


def error_of(error_type: str, message: str) -> dict[str, Any]:
    """Return an error for programs."""
    return {"error": {"type": error_type, "message": message}}


def in_words(error: BaseException) -> str:
    """Return an error as one text."""
    return f"{type(error).__name__}: {error}"


@dataclass(slots=True)
class Session:
    """The options before the command, and how far its work is. `outputs` are the stack's, empty without a stack."""

    as_json: bool = False
    stack: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    out: Output = field(default_factory=standard_output)
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    interruption: str | None = None

    def show(self, values: Mapping[str, Any], *renderables: Any) -> None:
        """Print the values for programs, or the renderables for people; of interrupted work, how far it came."""
        if self.as_json:
            error = error_of("Interrupted", self.interruption) if self.interruption else {}
            self.out.print_json(as_json({**values, **error}))
            return
        for renderable in renderables:
            self.out.print(renderable)
        if self.interruption:
            self.err.print(self.interruption)

    def tell(self, type: str, message: str) -> None:
        """Print an error: for programs where they look for the result, for people on stderr."""
        if self.as_json:
            self.out.print_json(as_json(error_of(type, message)))
        else:
            self.err.print(Text.assemble((type, "red"), f": {message}"), soft_wrap=True)

    def progress(
        self, items: Iterable[Item], title: str, total: int | None, size: Callable[[Item], int] = _one
    ) -> Iterator[Item]:
        """Yield the items with a progress bar, which is gone afterwards and never there for programs."""
        with Progress(console=self.err, transient=True, disable=self.as_json or not self.err.is_terminal) as bar:
            task = bar.add_task(title, total=total)
            for item in items:
                yield item
                bar.advance(task, size(item))

    @contextlib.contextmanager
    def work(
        self,
        items: Iterable[Item],
        title: str,
        total: int | None,
        unit: str,
        size: Callable[[Item], int] = _one,
    ) -> Iterator[Iterator[Item]]:
        """Give the items of work that can be interrupted: what was done until then is shown, and how much it is.

        `size` says how many of the `total` units an item is; a `total` that is not known is None.
        """
        done = 0

        def each() -> Generator[Item]:
            nonlocal done
            for item in self.progress(items, title, total, size):
                yield item
                done += size(item)

        with contextlib.closing(each()) as waiting:
            try:
                yield waiting
            except KeyboardInterrupt:
                count = f"{done}{'' if total is None else f' of {total}'} {unit}"
                self.interruption = (
                    f"Interrupted: {count} are done, and perhaps the next. The same again does the rest."
                )

    @contextlib.contextmanager
    def listing(self, name: str, none: str) -> Iterator[Callable[[Sequence[Mapping[str, Any]], RenderableType], None]]:
        """Give what prints a part of a list as soon as it is known: its rows for programs, a table of them for people.

        Raises:
            Exit: the list ends early, which is said at its end.
        """
        count, error = 0, dict[str, Any]()

        def add(rows: Sequence[Mapping[str, Any]], table: RenderableType) -> None:
            nonlocal count
            if not self.as_json:
                self.out.print(table)
            for row in rows:
                if self.as_json:
                    self.out.out(("," if count else "") + "\n" + as_json(row), end="", highlight=False)
                count += 1

        if self.as_json:
            self.out.out(f'{{"{name}": [', end="", highlight=False)
        try:
            yield add
        except KeyboardInterrupt:
            self.interruption = "This is not the whole list."
            error = error_of("Interrupted", self.interruption)
        except FAILURES as failure:
            error = error_of(type(failure).__name__, str(failure))
        if self.as_json:
            self.out.out("\n]" + (f", {as_json(error)[1:]}" if error else "}"), highlight=False)
        elif error:
            self.tell(**error["error"])
        elif not count:
            self.out.print(none)
        self.end(failed=bool(error))

    def end(self, *, failed: bool = False) -> None:
        """End a command that has shown its result.

        Raises:
            Exit: with the code for work that was interrupted, or that failed in part.
        """
        if self.interruption:
            raise typer.Exit(INTERRUPTED)
        if failed:
            raise typer.Exit(FAILED)


def session_of(context: typer.Context) -> Session:
    """Return the session that `operations.cli` has made."""
    session = context.find_object(Session)
    assert session is not None  # noqa: S101  # `main` gives it
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
