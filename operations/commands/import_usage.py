"""Usage of the past, from a file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console, RenderableType
from rich.table import Column

from billing import clock
from billing.clock import format_time
from billing.errors import UnavailableError
from billing.ingestion.counting import count_events
from billing.meters import LAST_METERS
from operations.output import Notes, table_of, whole
from operations.session import DryRun, Session, error_of, session_of
from operations.usage_files import Line, UsageFile, source_of
from operations.usage_import import (
    LINES_AT_ONCE,
    Counted,
    Foresight,
    Tally,
    by_hour,
    by_period,
    import_lines,
)

STANDARD_INPUT = "-"
# What becomes of an hour by its billing period's state.
BECOMES = {
    "closed": "lie in a closed billing period: the next invoice bills what they add, or it is told (docs/invoices.md)",
    "not_invoiced": "lie in a billing period that no invoice bills: what they add is told (docs/invoices.md)",
    "none": "lie in no billing period: no run bills them before the organisation has a subscription then",
}


def import_usage(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="CSV with a header, or JSON Lines; - for the standard input.")],
    source: Annotated[
        str | None, typer.Option(help="The source of events that name none; by default import: and the file's name.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write refused lines to this file, as they are.")
    ] = None,
    each_hour: Annotated[bool, typer.Option("--hours", help="Show each hour, not those of a period together.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Count the usage of a file: columns (or JSON fields) organization_id, meter, time, value, and id, source if any.

    Each line counts once: the same file again, or the rest of one that was interrupted, counts only what was not
    counted yet. Keep the file's name (or give --source), which is a part of the lines' identity. Usage of the past 35
    days is taken, also of closed billing periods. Exit code 1 where a line was refused.
    """
    session, now = session_of(context), clock.utc_now()
    source = source or _source(file)
    if rejects is not None and rejects.exists() and file != STANDARD_INPUT and rejects.samefile(file):
        raise typer.BadParameter("The refused lines would be written over the file.", param_hint="--rejects")
    failure: UnavailableError | None = None
    with _opened(file) as stream, _refusing(rejects) as refuse, contextlib.closing(Foresight()) as foresee:
        total = _number_of_lines(stream)
        usage_file = UsageFile(stream, source)
        tally = Tally(refuse=lambda line: refuse(line, usage_file.header))
        count = foresee if dry_run else count_events
        with (
            contextlib.closing(usage_file.lines(now)) as lines,
            session.work(_chunks(lines), "Importing", total, "lines", len) as waiting,
        ):
            try:
                for chunk in waiting:
                    import_lines(chunk, tally, count)
            except UnavailableError as error:
                failure = UnavailableError(f"{error}. The same again does the rest.")
    _show(session, tally, source, failure, each_hour=each_hour, dry_run=dry_run)
    session.end(failed=bool(tally.outcomes["refused"] or failure))


def _source(file: str) -> str:
    if file == STANDARD_INPUT:
        raise typer.BadParameter("What comes from the standard input has no name: give it one.", param_hint="--source")
    return source_of(Path(file).name)


def _opened(file: str) -> contextlib.AbstractContextManager[BinaryIO]:
    """Open the file, or give the standard input.

    Raises:
        BadParameter: it cannot be opened.
    """
    if file == STANDARD_INPUT:
        return contextlib.nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None


@contextlib.contextmanager
def _refusing(rejects: Path | None) -> Generator[Callable[[Line, bytes | None], None]]:
    """Give what keeps a refused line, behind the header of its file."""
    if rejects is None:
        yield lambda line, header: None
        return
    try:
        stream = rejects.open("wb")
    except OSError as error:
        raise typer.BadParameter(f"{rejects}: {error.strerror}", param_hint="--rejects") from None
    with stream:

        def refuse(line: Line, header: bytes | None) -> None:
            if header is not None and not stream.tell():
                stream.write(header + b"\n")
            stream.write(line.text + b"\n")

        yield refuse


def _chunks(lines: Iterator[Line]) -> Iterator[Sequence[Line]]:
    while chunk := list(islice(lines, LINES_AT_ONCE)):
        yield chunk


def _number_of_lines(stream: BinaryIO) -> int | None:
    """Return about how many lines a file has; None where it can be read only once."""
    if not stream.seekable():
        return None
    number = sum(part.count(b"\n") for part in iter(lambda: stream.read(1 << 20), b""))
    stream.seek(0)
    return number


def _show(
    session: Session, tally: Tally, source: str, failure: UnavailableError | None, *, each_hour: bool, dry_run: bool
) -> None:
    """Print what was counted, by billing period or by hour, and what was refused."""
    hours = list(session.progress(by_hour(tally.hours), "Billing periods", len(tally.hours)))
    shown = hours if each_hour else list(by_period(hours, LAST_METERS))
    counted, duplicates, refused = (tally.outcomes[name] for name in ("counted", "duplicate", "refused"))
    values: dict[str, Any] = {
        "source": source,
        "lines": tally.outcomes.total(),
        "counted": counted,
        "counted_before": duplicates,
        "refused": {code: refusals.as_dict() for code, refusals in tally.refused.items()},
        "hours" if each_hour else "periods": [each.as_dict() for each in shown],
        "dry_run": dry_run,
    }
    if failure is not None:
        values |= error_of("UnavailableError", str(failure))
    conclusion = (
        f"{tally.outcomes.total()} lines: {counted} {'would be counted' if dry_run else 'counted'}, "
        f"{duplicates} counted before, {refused} refused. Source: {source}"
    )
    tables: list[RenderableType] = [_table(shown, session.out)] if shown else []
    session.show(values, *tables, *_refusals(tally), *_consequences(hours), conclusion)
    if failure is not None and not session.as_json:
        session.tell(**values["error"])


def _table(rows: Iterable[Counted], console: Console) -> RenderableType:
    notes = Notes(console)
    columns: list[str | Column] = [
        Column("Organisation", min_width=12),
        Column("Meter", max_width=12 if notes.is_narrow else None),
        Column("Period of", max_width=10),
        Column("State", max_width=8 if notes.is_narrow else None),
        Column("First hour", max_width=10 if notes.is_narrow else None),
        *(whole(name, is_number=True) for name in ("Hours", "Events", "Value")),
    ]
    cells = [
        (
            each.organization_id,
            notes.meter(each.meter),
            format_time(each.period.starts_at)[:10] if each.period else "",
            each.period.state.replace("_", " ") if each.period else "none",
            each.first_hour,
            *map(str, (each.hours, each.events, each.value)),
        )
        for each in rows
    ]
    return table_of(columns, cells, gap=1 if notes.is_narrow else 2)


def _refusals(tally: Tally) -> Iterator[str]:
    for code, refusals in tally.refused.items():
        more = f" and {refusals.number - len(refusals.lines)} more" if refusals.number > len(refusals.lines) else ""
        lines = ", ".join(map(str, refusals.lines))
        yield f"Refused, {code}: line {lines}{more}. {refusals.reason}."


def _consequences(hours: Iterable[Counted]) -> Iterator[str]:
    keys: dict[str, set[tuple[str, str]]] = {state: set() for state in BECOMES}
    for each in hours:
        state = each.period.state if each.period else "none"
        if state in keys:
            keys[state].add((each.organization_id, each.first_hour))
    yield from (f"{len(keys[state])} hours {text}." for state, text in BECOMES.items() if keys[state])
