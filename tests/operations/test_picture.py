from __future__ import annotations

from rich.console import Console

from billing.usage.reading import HourOfUsage, State
from operations.picture import ROWS, picture


def _hour(number: int, sensors: float, state: State = "reported") -> HourOfUsage:
    return HourOfUsage(f"2026-11-23T{number:02}:00:00Z", state, {"active_sensors": sensors}, {}, None, None)


def _drawn(hours: list[HourOfUsage], width: int) -> list[str]:
    console = Console(width=200, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(hours, width))
    return capture.get().splitlines()


def test_the_highest_hour_reaches_the_top_and_half_of_it_half_way() -> None:
    lines = _drawn([_hour(0, 10), _hour(1, 5), _hour(2, 0)], 80)
    assert lines[0] == "Active sensors, highest 10 an hour"
    columns = [line.partition("│")[2].ljust(3) for line in lines[1 : 1 + ROWS]]
    assert [line[0] for line in columns] == ["█"] * 6
    assert [line[1] for line in columns] == [" "] * 3 + ["█"] * 3
    assert [line[2] for line in columns] == [" "] * 6


def test_more_hours_than_columns_show_the_highest_count_and_the_worst_state() -> None:
    hours = [_hour(number, number, "refused" if number == 3 else "reported") for number in range(24)]
    console = Console(width=200, force_terminal=True, color_system="standard", no_color=False)
    with console.capture() as capture:
        console.print(picture(hours, 24))
    top, *_, bottom = capture.get().splitlines()[1 : 1 + ROWS]
    assert top.count("█") == 1
    assert bottom.count("\x1b[31m") == 1


def test_a_meter_without_any_count_is_an_empty_picture() -> None:
    lines = _drawn([_hour(0, 0)], 80)
    assert "Temperature readings, highest 0 an hour" in lines
