"""Files of usage: every line is an event or is refused by name, and its identity is of what it says."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from operations.usage_files import LONGEST_LINE, InvalidFileError, Line, UsageFile, source_of

NOW = datetime(2026, 11, 23, 8, 5, tzinfo=UTC)
HEADER = "organization_id,meter,time,value\n"
LINE = "acme,temperature_readings,2026-11-22T08:10:00Z,12\n"


def lines(content: str | bytes, source: str = "import:usage.csv") -> list[Line]:
    encoded = content.encode() if isinstance(content, str) else content
    return list(UsageFile(io.BytesIO(encoded), source).lines(NOW))


def identities(content: str) -> list[tuple[str, str]]:
    events = [line.event for line in lines(content)]
    return [(event.source, event.id) for event in events if event is not None]


def test_a_line_is_an_event() -> None:
    (line,) = lines(HEADER + LINE)

    assert line.event is not None
    assert (line.number, line.text) == (2, LINE.strip().encode())
    assert (line.event.organization_id, line.event.meter.event_name, line.event.value, line.event.window_start) == (
        "acme",
        "temperature_readings",
        12,
        "2026-11-22T08:00:00Z",
    )


@pytest.mark.parametrize(
    "content",
    [
        HEADER + LINE,
        "\ufeff" + HEADER + LINE,
        (HEADER + LINE).replace("\n", "\r\n"),
        "\n\n" + HEADER + "\n" + LINE + "\n  \n",
        (HEADER + LINE).removesuffix("\n"),
        'value,time,"meter",organization_id\n"12","2026-11-22T08:10:00Z",temperature_readings,"acme"\n',
    ],
    ids=["plain", "a BOM", "CRLF", "empty lines", "no end", "quotes and another order"],
)
def test_however_a_csv_file_is_written_its_lines_are_the_same_events(content: str) -> None:
    assert identities(content) == identities(HEADER + LINE)


def test_json_lines_have_the_same_fields_or_are_cloud_events() -> None:
    fields = {"organization_id": "acme", "meter": "active_sensors", "time": "2026-11-22T08:10:00+01:00", "value": 3}
    event = {
        "specversion": "1.0",
        "id": "r-1",
        "source": "gateways",
        "type": "active_sensors",
        "subject": "acme",
        "time": "2026-11-22T07:10:00Z",
        "data": {"value": 3},
    }
    first, second = lines(f"{json.dumps(fields)}\n{json.dumps(event)}\n")

    assert first.event is not None
    assert second.event is not None
    assert first.event.content == second.event.content
    assert (second.event.source, second.event.id) == ("gateways", "r-1")


def test_the_identity_of_a_line_that_has_none_is_what_it_says_and_how_often() -> None:
    other = LINE.replace("12", "13")
    first, second, third = identities(HEADER + LINE + LINE + other)

    assert len({first, second, third}) == 3
    # Lines added, removed, in another order: those that were there are the same events.
    assert set(identities(HEADER + other + LINE)) == {first, third}
    assert set(identities(HEADER + LINE.replace("acme", "globex") + LINE + other + LINE)) > {first, second, third}


def test_the_name_of_the_file_is_a_part_of_the_identity() -> None:
    assert source_of("November 2026.csv") == "import:November%202026.csv"
    (one,) = lines(HEADER + LINE, "import:a.csv")
    (other,) = lines(HEADER + LINE, "import:b.csv")
    assert one.event is not None
    assert other.event is not None
    assert (one.event.source, other.event.source) == ("import:a.csv", "import:b.csv")


def test_an_identity_that_the_file_has_stands() -> None:
    header = HEADER.strip() + ",id,source\n"
    content = header + LINE.strip() + ",r-1,gateways\n" + LINE.strip() + ",r-2,\n"

    assert identities(content) == [("gateways", "r-1"), ("import:usage.csv", "r-2")]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (b"acme,temperature_readings,2026-11-22T08:10:00Z", "not_csv", "3 cells, the header has 4"),
        (b"acme,temperature_readings,2026-11-22T08:10:00Z,1,2", "not_csv", "5 cells"),
        (b'acme,"temperature_readings,2026-11-22T08:10:00Z,1', "not_csv", "no CSV"),
        (b'acme,"temperature"_readings,2026-11-22T08:10:00Z,1', "not_csv", "no CSV"),
        (b"m\xfcller,temperature_readings,2026-11-22T08:10:00Z,1", "not_utf_8", "Byte 2 of the line, 0xfc"),
        (b"acme,humidity,2026-11-22T08:10:00Z,1", "no_such_meter", "meter"),
        (b"a/b,temperature_readings,2026-11-22T08:10:00Z,1", "bad_organization", "organisation"),
        (b",temperature_readings,2026-11-22T08:10:00Z,1", "bad_organization", "organisation"),
        (b"acme,temperature_readings,2026-11-22 08:10:00,1", "bad_time", "time"),
        (b"acme,temperature_readings,22.11.2026 08:10,1", "bad_time", "time"),
        (b"acme,temperature_readings,2026-11-22T08:10:00,1", "no_zone", "zone"),
        (b"acme,temperature_readings,2026-11-24T08:10:00Z,1", "in_the_future", "future"),
        (b"acme,temperature_readings,2026-10-01T08:10:00Z,1", "too_old", "35 days"),
        (b"acme,temperature_readings,2026-11-22T08:10:00Z,", "no_value", "number"),
        (b"acme,temperature_readings,2026-11-22T08:10:00Z,1_000", "no_value", "number"),
        (b"acme,temperature_readings,2026-11-22T08:10:00Z,1.5", "not_whole", "whole"),
        (b"acme,temperature_readings,2026-11-22T08:10:00Z,-1", "not_above_zero", "above zero"),
        (b"acme,temperature_readings,2026-11-22T08:10:00Z," + b"9" * 16, "too_large", "15 digits"),
        (b"x" * (LONGEST_LINE + 1), "line_too_long", "65536"),
        (b"x" * (3 * LONGEST_LINE + 7), "line_too_long", "65536"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_line_that_is_no_event_is_refused_with_its_number_and_costs_no_other(
    line: bytes, code: str, said: str
) -> None:
    first, refused, last = lines(HEADER.encode() + LINE.encode() + line + b"\r\n" + LINE.encode())

    assert (refused.number, refused.event, refused.code) == (3, None, code)
    assert said in refused.reason
    assert refused.text[:1000] == line[:1000]
    assert first.event is not None
    assert last.event is not None
    assert last.number == 4


@pytest.mark.parametrize("line", ["{", "3", '{"a": 1}}', "[" * 100_000 + "]" * 100_000, "nothing"])
def test_a_line_that_is_no_json_object_is_refused(line: str) -> None:
    fields = {"organization_id": "acme", "meter": "active_sensors", "time": "2026-11-22T08:10:00Z", "value": 3}
    first, refused = lines(f"{json.dumps(fields)}\n{line}\n")

    assert first.event is not None
    assert refused.code in ("not_json", "line_too_long")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (b"organization_id;meter;time;value\n", "Columns stand between commas"),
        (b"organization_id,meter,value\n", "lacks time"),
        (b"organization_id,meter,time,value,time\n", "twice"),
        (b"organization_id,meter,time,value\racme,x,y,1\r", "CR alone"),
        (b"m\xfcller,meter,time,value\n", "UTF-8"),
        (b'[{"organization_id": "acme"}]', "JSON array"),
    ],
)
def test_a_file_of_which_no_line_can_be_read_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(InvalidFileError, match=said):
        lines(content)


class _ManyLines(io.RawIOBase):
    """A file that is as long as one likes, and nowhere."""

    def __init__(self, number: int) -> None:
        self._parts = self._lines(number)

    @staticmethod
    def _lines(number: int) -> Iterator[bytes]:
        yield HEADER.encode()
        for position in range(number):
            yield f"acme,temperature_readings,2026-11-22T08:10:00Z,{1 + position}\n".encode()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = next(self._parts, b"")
        buffer[: len(part)] = part
        return len(part)


def _peak(number: int) -> int:
    file = UsageFile(io.BufferedReader(_ManyLines(number)), "s")
    tracemalloc.start()
    try:
        assert sum(line.event is not None for line in file.lines(NOW)) == number
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file() -> None:
    assert _peak(40_000) < 1.2 * _peak(4_000) + 100_000
