"""What is printed: whole, in a terminal of any width and in a file."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from billing.clock import format_time
from billing.errors import BillingError

# Of what ends since nobody reads its output any more: what a shell says of a program that SIGPIPE ended.
BROKEN_PIPE = 141
# Where there is no terminal nothing is folded: more than any line is long.
WIDE = 10_000
# Fewer columns than a row with numbers and a sentence needs.
NARROW = 140


class FileError(BillingError):
    """A file that cannot be written; the message names it, and why."""


class Output(Console):
    """A console that ends the program quietly when its reader has gone (`| head -1`)."""

    def on_broken_pipe(self) -> None:
        """End, with nothing more to write."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN_PIPE)


class Notes:
    """What is to be said of rows: in their table, or where it is narrow, once below it under a number."""

    def __init__(self, console: Console) -> None:
        self.is_narrow = console.width < NARROW
        self._numbers: dict[str, int] = {}

    def cell(self, text: str) -> str:
        """Return what stands in the row."""
        if not text or not self.is_narrow:
            return text
        return f"({self._numbers.setdefault(text, len(self._numbers) + 1)})"

    def below(self) -> list[Text]:
        """Return what stands below the table."""
        return [Text(f"({number}) {text}", overflow="fold") for text, number in self._numbers.items()]

    def meter(self, event_name: str) -> str:
        """Return a meter's name, which is folded between its words."""
        return event_name.replace("_", " ") if self.is_narrow else event_name


def standard_output() -> Output:
    """Return the standard output: as wide as the terminal or COLUMNS says, else as wide as what is printed."""
    is_free = not sys.stdout.isatty() and not os.environ.get("COLUMNS")
    return Output(width=WIDE if is_free else None, highlight=False)


def table_of(columns: Iterable[str | Column], rows: Iterable[Sequence[str | Text]], *, gap: int = 2) -> Table:
    """Return a table in which nothing is cut off: what is too long is folded; a cell is no markup."""
    table = Table(*columns, box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def table_of_hours(rows: Iterable[Sequence[str | Text]], notes: Notes) -> list[RenderableType]:
    """Return organisation, hour, meter, counted, at Stripe, difference and note of each row; and what stands below."""
    numbers = [whole(header, is_number=True) for header in ("Counted", "At Stripe", "Difference")]
    columns = [
        Column("Organisation", min_width=12),
        whole("Hour"),
        Column("Meter", min_width=11),
        *numbers,
        Column("Note"),
    ]
    return [table_of(columns, rows, gap=1 if notes.is_narrow else 2), *notes.below()]


def whole(header: str, *, is_number: bool = False, least: int | None = None) -> Column:
    """Return a column that stays whole where others are folded, at `least` so wide."""
    return Column(header, no_wrap=True, justify="right" if is_number else "left", min_width=least)


def as_json(values: Mapping[str, Any]) -> str:
    """Return values for programs, their times as everywhere: `2026-11-23T08:00:00Z`."""
    return json.dumps(values, default=_plain, ensure_ascii=False)


# What a spreadsheet takes for a formula. https://owasp.org/www-community/attacks/CSV_Injection
FORMULAS = ("=", "+", "-", "@")


def csv_line(values: Iterable[object]) -> str:
    """Return a row of comma-separated values; a text that a spreadsheet would calculate gets an apostrophe in front."""
    line = io.StringIO()
    cells = [f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value for value in values]
    csv.writer(line, lineterminator="").writerow(["" if cell is None else cell for cell in cells])
    return line.getvalue()


def write_file(path: Path, text: str) -> None:
    """Write a file whole, or not at all.

    Raises:
        FileError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from error


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return format_time(value)
    raise TypeError(f"{value!r} has no form in JSON")
