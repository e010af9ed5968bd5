"""Usage that was not counted: listed, corrected, put back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Column

from billing import clock
from billing.errors import RefusedError
from billing.ingestion.events import CODES
from operations.dead_letters import (
    NOT_PROCESSED,
    Correction,
    DeadLetter,
    DeadLetterQueue,
    fields_of,
    message_of,
    read_corrections,
)
from operations.output import Notes, table_of
from operations.session import FAILURES, DryRun, Session, in_words, session_of

Action = Literal["put_back", "removed"]
# In a cell; the whole event is in the JSON and in the exported file.
LONGEST_CELL = 60
# Rows of a table, of a list that has many.
PAGE = 100


def rejected(
    context: typer.Context,
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help=f"Only those with this code: {', '.join((*CODES, NOT_PROCESSED))}.",
            autocompletion=lambda: [*CODES, NOT_PROCESSED],
        ),
    ] = None,
    organization: Annotated[str | None, typer.Option(help="Only events of this organisation.")] = None,
    event_id: Annotated[str | None, typer.Option("--id", help="Only the event with this id.")] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write them to this file, a line each, to be corrected.")
    ] = None,
    requeue: Annotated[bool, typer.Option("--requeue", help="Put them back on the usage queue as they are.")] = False,
    correct: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put back what an exported and corrected file has.")
    ] = None,
    discard: Annotated[bool, typer.Option("--discard", help="Remove them: they will never be counted.")] = False,
    dry_run: DryRun = False,
) -> None:
    """List the usage events that were not counted, and why; or put them back to be counted.

    What is listed stays where it is. What is put back is sent first and then removed here, and counts once however
    often it is sent. The code not_processed marks messages that no invocation could finish, which SQS moved there.
    """
    session = session_of(context)
    if sum([requeue, correct is not None, discard]) > 1:
        raise typer.BadParameter("Only one of --requeue, --correct and --discard at a time.")
    if discard and (reason, organization, event_id) == (None, None, None):
        raise typer.BadParameter("Say which: --reason, --organization or --id.", param_hint="--discard")
    chosen = _choice(reason, organization, event_id)
    if correct is not None:
        _put_back_corrected(session, DeadLetterQueue(), correct, dry_run=dry_run)
    elif requeue or discard:
        _handle(session, DeadLetterQueue(), chosen, "removed" if discard else "put_back", export, dry_run=dry_run)
    else:
        _list(session, DeadLetterQueue(), chosen, export)


def _choice(reason: str | None, organization: str | None, event_id: str | None) -> Callable[[DeadLetter], bool]:
    """Return what says whether a message is meant."""
    if reason not in (None, *CODES, NOT_PROCESSED):
        raise typer.BadParameter(
            f"{reason} is no code; the codes are {', '.join((*CODES, NOT_PROCESSED))}.", param_hint="--reason"
        )

    def is_chosen(letter: DeadLetter) -> bool:
        return reason in (None, letter.code) and any(
            organization in (None, event["organization_id"]) and event_id in (None, event["id"])
            for event in letter.as_dicts()
        )

    return is_chosen


def _list(
    session: Session, queue: DeadLetterQueue, is_chosen: Callable[[DeadLetter], bool], export: Path | None
) -> None:
    rows: list[dict[str, Any]] = []

    def show(least: int) -> None:
        if len(rows) >= least:
            add(rows, Group(*_table(rows, session.out)))
            rows.clear()

    with (
        _exporting(export) as write,
        session.listing("rejected", "No usage event is rejected.") as add,
        queue.pages() as pages,
    ):
        for page in pages:
            for letter in filter(is_chosen, page):
                write(letter)
                rows += letter.as_dicts()
            show(PAGE)
        show(1)


@contextlib.contextmanager
def _exporting(file: Path | None) -> Iterator[Callable[[DeadLetter], Any]]:
    if file is None:
        yield lambda letter: None
        return
    try:
        stream = file.open("w", encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--export") from None
    with stream:
        yield lambda letter: stream.write(f"{letter.as_line()}\n")


def _handle(
    session: Session,
    queue: DeadLetterQueue,
    is_chosen: Callable[[DeadLetter], bool],
    action: Action,
    export: Path | None,
    *,
    dry_run: bool,
) -> None:
    """Put back or remove what is chosen of the messages that are there now."""
    rows: list[dict[str, Any]] = []
    with (
        _exporting(export) as write,
        queue.pages() as pages,
        session.work(pages, "Looking through", queue.size, "messages", len) as waiting,
    ):
        for page in waiting:
            letters = [letter for letter in page if is_chosen(letter) and letter.sent_at <= queue.opened_at]
            for letter in letters:
                write(letter)
            outcome: dict[str, Any] = {"outcome": None}
            if letters and not dry_run:
                outcome = _handled(queue, letters, [letter.message for letter in letters], action)
            rows += [{**row, **outcome} for letter in letters for row in letter.as_dicts()]
    _show(session, rows, action, dry_run=dry_run)


def _handled(
    queue: DeadLetterQueue, letters: Sequence[DeadLetter], bodies: Sequence[str], action: Action
) -> dict[str, str]:
    message_ids = [letter.message_id for letter in letters]
    try:
        if action == "put_back":
            queue.put_back(message_ids, bodies)
        else:
            queue.remove(message_ids)
    except FAILURES as error:
        return {"outcome": "failed", "error": in_words(error)}
    return {"outcome": action}


def _put_back_corrected(session: Session, queue: DeadLetterQueue, file: Path, *, dry_run: bool) -> None:
    """Send the events of a corrected file, each in place of the message that it corrects."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--correct") from None
    corrections, wrong = read_corrections(text.split("\n"), clock.utc_now())
    if wrong:
        raise RefusedError(f"Nothing was put back. {'; '.join(wrong)}")
    waiting = {correction.message_id: correction for correction in corrections}
    rows: list[dict[str, Any]] = []
    with (
        queue.pages() as pages,
        session.work(pages, "Looking through", queue.size, "messages", len) as looked_at,
    ):
        for page in looked_at:
            for letter in page:
                correction = waiting.pop(letter.message_id, None)
                if correction is not None:
                    rows += _corrected(queue, letter, correction, dry_run=dry_run)
            if not waiting:
                break
    rows += [_missing(correction) for correction in waiting.values() if session.interruption is None]
    _show(session, rows, "put_back", dry_run=dry_run)


def _corrected(
    queue: DeadLetterQueue, letter: DeadLetter, correction: Correction, *, dry_run: bool
) -> list[dict[str, Any]]:
    outcome: dict[str, Any] = {"outcome": None}
    if not dry_run:
        outcome = _handled(queue, [letter], [message_of(correction.event)], "put_back")
    return [{**row, **outcome} for row in letter.as_dicts(correction.event)]


def _missing(correction: Correction) -> dict[str, Any]:
    return {
        **dict.fromkeys(("code", "reason", "rejected_at", "sent_at")),
        "message_id": correction.message_id,
        **fields_of(correction.event),
        "outcome": "not_there",
    }


def _show(session: Session, rows: Sequence[Mapping[str, Any]], action: Action, *, dry_run: bool) -> None:
    done = sum(row["outcome"] == action for row in rows)
    words = action.replace("_", " ")
    notes = [
        f"{row['message_id']}: {row.get('error', 'is not there: put back before, removed, or expired')}"
        for row in rows
        if row["outcome"] not in (None, action)
    ]
    conclusion = f"{len(rows)} events would be {words}." if dry_run else f"{done} of {len(rows)} events are {words}."
    table = _table(rows, session.out) if rows else []
    values = {"rejected": list(rows), action: done, "dry_run": dry_run}
    session.show(values, *table, *dict.fromkeys(notes), conclusion)
    session.end(failed=any(row["outcome"] == "failed" for row in rows))


def _table(rows: Sequence[Mapping[str, Any]], console: Console) -> Sequence[RenderableType]:
    notes = Notes(console)
    columns: list[str | Column] = [
        Column("Organisation", min_width=12),
        "Meter",
        "Time",
        Column("Value", justify="right"),
        "Source, id",
        Column("Code", min_width=12),
        "Reason",
    ]
    cells = [
        (
            _cell(row["organization_id"]),
            notes.meter(_cell(row["meter"])),
            _cell(row["time"]),
            _cell(row["value"]),
            f"{_cell(row['source'])} {_cell(row['id'])}",
            _cell(row["code"]),
            notes.cell(_cell(row["reason"], 2 * LONGEST_CELL)),
        )
        for row in rows
    ]
    return [table_of(columns, cells, gap=1 if notes.is_narrow else 2), *notes.below()]


def _cell(value: object, longest: int = LONGEST_CELL) -> str:
    """Return what a sender wrote as a terminal may show it: short, and with nothing that moves its cursor."""
    text = "" if value is None else value if isinstance(value, str) else repr(value)
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text[:longest])
    return shown + ("…" if len(text) > longest else "")
