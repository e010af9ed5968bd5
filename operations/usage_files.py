"""Files of usage, CSV or JSON Lines: read line by line, each line an event with an identity, or refused with a code.

A line break ends a line, also in CSV: no field of usage needs one, and so a quote that was never closed costs its own
line. An identity that the file has (`source`, `id`) stands. Any other line's is made of what it says: `source` is the
file's name, `id` the line's fields and how often the file had them before. So the same file again is the same events,
also where lines were added, removed or put in another order; two lines that say the same are two events.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import quote

from billing.errors import RefusedError
from billing.ingestion.events import RejectedUsageError, UsageEvent, read_event

NEEDED = ("organization_id", "meter", "time", "value")
# Many times as long as a line of usage.
LONGEST_LINE = 64 * 1024
BOM = b"\xef\xbb\xbf"
NOT_UTF_8, NOT_CSV, NOT_JSON, TOO_LONG = "not_utf_8", "not_csv", "not_json", "line_too_long"


class InvalidFileError(RefusedError):
    """A file of which no line can be read; nothing was counted."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it came, its number from 1, and its event; or the code and the reason why it has none."""

    number: int
    text: bytes
    event: UsageEvent | None = None
    code: str = ""
    reason: str = ""


class _UnreadableLineError(Exception):
    """A line that has no fields: `args` are the code and the reason."""


def source_of(name: str) -> str:
    """Return the `source` of the events of a file with that name."""
    return f"import:{quote(name)}"


class UsageFile:
    """A file's lines; `source` is that of lines that name none, `header` the line that a CSV file begins with.

    Raises:
        InvalidFileError: it is empty or no text in UTF-8, or its header lacks a column.
    """

    def __init__(self, file: BinaryIO, source: str) -> None:
        self.source, self._file, self._number = source, file, 0
        self._first = self._first_line()
        self.header = None if self._first.lstrip().startswith(b"{") else self._first
        self._columns = None if self.header is None else _columns(self.header)

    def _first_line(self) -> bytes:
        while (line := self._next_line()) is not None:
            if self._number == 1:
                if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise InvalidFileError("The file is UTF-16; save it as UTF-8")
                line = line.removeprefix(BOM)
            if line.strip():
                return line
        raise InvalidFileError("The file is empty")

    def _next_line(self) -> bytes | None:
        """Return the next line without its end, cut off where it is too long; None at the end of the file."""
        line = self._file.readline(LONGEST_LINE + 2)
        if not line:
            return None
        part = line
        while len(part) == LONGEST_LINE + 2 and not part.endswith(b"\n"):
            part = self._file.readline(LONGEST_LINE + 2)
        self._number += 1
        return line.removesuffix(b"\n").removesuffix(b"\r")

    def lines(self, now: datetime) -> Generator[Line, None, None]:
        """Yield the lines but for empty ones, each with its event, or why it has none; to be closed."""
        with closing(Occurrences()) as self._occurrences:
            if self.header is None:
                yield self._read(self._first, now)
            while (line := self._next_line()) is not None:
                if line.strip():
                    yield self._read(line, now)

    def _read(self, text: bytes, now: datetime) -> Line:
        number = self._number
        try:
            event = read_event(self._cloud_event(self._fields(text)), now)
        except _UnreadableLineError as error:
            return Line(number, text, None, *error.args)
        except RejectedUsageError as error:
            return Line(number, text, None, error.code, str(error))
        return Line(number, text, event)

    def _fields(self, line: bytes) -> Mapping[str, Any]:
        if len(line) > LONGEST_LINE:
            raise _UnreadableLineError(TOO_LONG, f"A line has at most {LONGEST_LINE} bytes")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            reason = f"Byte {error.start + 1} of the line, {line[error.start]:#x}, is not UTF-8"
            raise _UnreadableLineError(NOT_UTF_8, reason) from None
        return _json_fields(text) if self._columns is None else _csv_fields(text, self._columns)

    def _cloud_event(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return fields as a CloudEvent; what is one is taken as it is."""
        named = {name: fields[name] for name in ("id", "source") if fields.get(name) not in (None, "")}
        if "id" in named:
            identity = {"source": self.source, **named}
        else:
            digest = digest_of(fields)
            identity = {
                "source": named.get("source", self.source),
                "id": f"{digest.hex()}-{self._occurrences.of(digest)}",
            }
        if "specversion" in fields:
            return {**fields, **identity}
        return {
            "specversion": "1.0",
            **identity,
            "type": fields.get("meter"),
            "subject": fields.get("organization_id"),
            "time": fields.get("time"),
            "data": {"value": fields.get("value")},
        }


class Occurrences:
    """How often something has come before: on disk, so that memory does not grow with the file."""

    def __init__(self) -> None:
        # A nameless database is a temporary file, gone with its connection: https://sqlite.org/inmemorydb.html#temp_db
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Forget them."""
        self._database.close()

    def of(self, digest: bytes) -> int:
        """Return how often this has come, now included."""
        ((number,),) = self._database.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number", [digest]
        ).fetchall()
        return int(number)


def digest_of(value: object) -> bytes:
    """Return 16 bytes that stand for a value of JSON's."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:16]


def _columns(header: bytes) -> list[str]:
    if b"\r" in header:
        raise InvalidFileError("The lines end with CR alone; save the file with LF or CRLF")
    try:
        columns = [name.strip() for name in next(csv.reader([header.decode()], strict=True))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidFileError(f"The header is no line of CSV in UTF-8: {error}") from error
    if header.lstrip().startswith(b"["):
        raise InvalidFileError("The file is one JSON array; an object a line is expected (jq -c '.[]')")
    missing = [name for name in NEEDED if name not in columns]
    if missing or len(set(columns)) < len(columns):
        lacks = f"lacks {', '.join(missing)}" if missing else "names a column twice"
        raise InvalidFileError(
            f"The header {lacks}. It is: {', '.join(columns)}. Columns stand between commas; "
            f"{', '.join(NEEDED)} are needed, id and source are optional"
        )
    return columns


def _csv_fields(text: str, columns: Sequence[str]) -> dict[str, Any]:
    try:
        cells = next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise _UnreadableLineError(NOT_CSV, f"The line is no CSV: {error}") from None
    if len(cells) != len(columns):
        raise _UnreadableLineError(NOT_CSV, f"The line has {len(cells)} cells, the header has {len(columns)}")
    fields: dict[str, Any] = dict(zip(columns, cells, strict=True))
    return {**fields, "value": _number(fields["value"])}


def _number(cell: str) -> int | float | str:
    """Return a cell's number; what is none stays as it is, and is refused by that name."""
    if re.fullmatch(r"[+-]?[0-9]{1,30}", cell):
        return int(cell)
    return float(cell) if re.fullmatch(r"[+-]?[0-9]{1,30}\.[0-9]{1,30}", cell) else cell


def _json_fields(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _UnreadableLineError(NOT_JSON, f"The line is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise _UnreadableLineError(NOT_JSON, "The line is no JSON object")
    return fields
