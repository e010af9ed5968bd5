from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console

from billing.clock import format_time
from billing.usage.reading import HourOfUsage, State
from operations.picture import LETTERS, ROWS, axis, picture

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


def _hour(number: int, sensors: float, state: State = "reported") -> HourOfUsage:
    start = format_time(MIDNIGHT + timedelta(hours=number))
    return HourOfUsage(start, state, {"active_sensors": sensors}, {}, None, None)


def _drawn(hours: Sequence[HourOfUsage], width: int, *, until: int | None = None) -> list[str]:
    """Draw the hours from midnight up to `until` (else the last one's end), without colours."""
    end = MIDNIGHT + timedelta(hours=until if until is not None else len(hours))
    console = Console(width=200, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(hours, MIDNIGHT, end, width))
    return capture.get().splitlines()


def _columns(lines: Sequence[str]) -> list[str]:
    """Return the bars of the first meter, each from top to bottom."""
    rows = [line.partition("│")[2] for line in lines[1 : 1 + ROWS]]
    longest = max(map(len, rows))
    return ["".join(column) for column in zip(*(row.ljust(longest) for row in rows), strict=True)]


def _below(lines: Sequence[str]) -> tuple[str, str, str]:
    """Return the first meter's axis, its labels and the letters of its columns."""
    line, labels, letters = lines[1 + ROWS : 4 + ROWS]
    return line.strip().removeprefix("└"), labels[11:], letters[11:]


def test_the_highest_hour_reaches_the_top_and_half_of_it_half_way() -> None:
    lines = _drawn([_hour(0, 10), _hour(1, 5), _hour(2, 0)], 80)
    assert lines[0] == "Active sensors, highest 10 an hour"
    assert _columns(lines) == ["█" * 6, "   ███", " " * 6]


def test_hours_without_usage_take_their_place() -> None:
    lines = _drawn([_hour(0, 10), _hour(1, 10), _hour(30, 10)], 80, until=40)
    used = [bool(column.strip()) for column in _columns(lines)]
    assert [index for index, is_used in enumerate(used) if is_used] == [0, 1, 30]
    line, labels, letters = _below(lines)
    assert len(line) == 40
    assert letters.rstrip() == "··" + " " * 28 + "·"
    assert [labels[index : index + 6].rstrip() for index in range(40) if line[index] == "┬"] == [
        "23 Nov",
        "12:00",
        "24 Nov",
        "12:00",
    ]


def test_three_weeks_without_usage_are_as_wide_as_three_weeks() -> None:
    lines = _drawn([_hour(0, 10), _hour(22 * 24, 10)], 80, until=23 * 24)
    line, labels, letters = _below(lines)
    assert max(map(len, lines[:-2])) <= 80
    assert letters.index("·", 1) == len(letters.rstrip()) - 1 == 22 * 2
    assert labels.split() == ["26", "Nov", "03", "Dec", "10", "Dec"]
    assert line.count("┬") == 3
    assert (
        "2026-11-23T00:00:00Z … 2026-12-16T00:00:00Z; a column is 12 hours: the highest count, the worst state."
        in lines
    )


def test_a_column_of_several_hours_begins_where_a_clock_would() -> None:
    time = axis(MIDNIGHT + timedelta(hours=5), MIDNIGHT + timedelta(days=6), 60)
    assert (time.step, time.start) == (3, MIDNIGHT + timedelta(hours=3))
    longest = axis(MIDNIGHT, MIDNIGHT + timedelta(days=92), 68)
    assert longest.columns <= 68


def test_more_hours_than_columns_show_the_highest_count_and_the_worst_state() -> None:
    lines = _drawn([_hour(number, number, "refused" if number == 3 else "reported") for number in range(24)], 24)
    assert [column.count("█") for column in _columns(lines)][-1] == ROWS
    assert _below(lines)[2].rstrip() == "·R" + "·" * 10


def test_every_state_is_told_without_colour() -> None:
    states: list[State] = ["reported", "late", "due", "refused", "unreported", "damaged"]
    lines = _drawn([_hour(number, 1, state) for number, state in enumerate(states)], 200)
    assert _below(lines)[2].rstrip() == "".join(LETTERS[state] for state in states)
    assert len(set(LETTERS.values())) == len(states)
    assert [state for state in states if f"{LETTERS[state]} {state} (1 h)" not in lines[-1]] == []
    assert "damaged" not in _drawn([_hour(0, 1)], 80)[-1]


def test_an_hour_whose_start_is_no_time_is_counted_and_not_drawn() -> None:
    damaged = HourOfUsage("soon", "damaged", {}, {}, None, None)
    lines = _drawn([_hour(0, 1), damaged], 80, until=2)
    assert _below(lines)[2].rstrip() == "·"
    assert "damaged (1 h)" in lines[-1]


def test_a_meter_without_any_count_is_an_empty_picture() -> None:
    lines = _drawn([_hour(0, 0)], 80)
    assert "Temperature readings, highest 0 an hour" in lines
