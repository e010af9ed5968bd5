"""The formats of an export: comma-separated values, a JSON document a line, Parquet."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from billing.clock import parse_time
from billing.errors import ConfigurationError
from operations.export import COLUMNS, Row
from operations.output import FileError, csv_line

Format = Literal["csv", "jsonl", "parquet"]
NAMES = tuple(column.name for column in COLUMNS)
# Rows of a Parquet file that are written together.
ROW_GROUP = 20_000


class Writer(Protocol):
    """What takes an export's rows."""

    def __call__(self, rows: Sequence[Row]) -> None:
        """Write some rows."""


def lines(format_name: Format, rows: Sequence[Row]) -> list[str]:
    """Return rows as lines of text."""
    if format_name == "csv":
        return [
            csv_line("true" if cell is True else "false" if cell is False else cell for cell in row) for row in rows
        ]
    return [json.dumps(dict(zip(NAMES, row, strict=True)), ensure_ascii=False) for row in rows]


def header(format_name: Format) -> list[str]:
    """Return the lines in front of the rows."""
    return [csv_line(NAMES)] if format_name == "csv" else []


@contextlib.contextmanager
def text_writer(format_name: Format, write: Callable[[str], object]) -> Iterator[Writer]:
    """Give a writer of text; `write` takes whole lines."""

    def write_rows(rows: Sequence[Row]) -> None:
        if rows:
            write("".join(f"{line}\n" for line in lines(format_name, rows)))

    write("".join(f"{line}\n" for line in header(format_name)))
    yield write_rows


@contextlib.contextmanager
def file_writer(format_name: Format, path: Path) -> Iterator[Writer]:
    """Give a writer of a file, which is there when all of it is written, and only then.

    Raises:
        ConfigurationError: the format needs a library that is not installed.
        FileError: the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        if format_name == "parquet":
            with _parquet_writer(part) as writer:
                yield writer
        else:
            with part.open("w", encoding="utf-8", newline="") as file, text_writer(format_name, file.write) as writer:
                yield writer
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _parquet_writer(path: Path) -> Iterator[Writer]:
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ConfigurationError(
            "Parquet needs the library pyarrow, which is not installed here: `make environment` installs it, "
            "or `pip install pyarrow`; --format csv and jsonl need none"
        ) from error
    types: dict[str, Any] = {
        "text": arrow.string(),
        "whole number": arrow.int64(),
        "yes or no": arrow.bool_(),
        "time": arrow.timestamp("ms", tz="UTC"),
    }
    schema = arrow.schema([arrow.field(column.name, types[column.type]) for column in COLUMNS])
    waiting: list[Row] = []

    def flush(file: Any) -> None:
        if waiting:
            columns = zip(COLUMNS, zip(*waiting, strict=True), strict=True)
            arrays = [arrow.array(_cells(column.type, cells), types[column.type]) for column, cells in columns]
            file.write_table(arrow.table(arrays, schema=schema))
            waiting.clear()

    with parquet.ParquetWriter(path, schema, compression="zstd") as file:

        def write_rows(rows: Sequence[Row]) -> None:
            waiting.extend(rows)
            if len(waiting) >= ROW_GROUP:
                flush(file)

        yield write_rows
        flush(file)


def _cells(type_name: str, cells: Sequence[Any]) -> Sequence[Any]:
    """Return a column's cells as Parquet has them: times are moments."""
    return [parse_time(cell) if cell else None for cell in cells] if type_name == "time" else cells
