"""A picture of an organisation's usage: time from left to right, a bar and a letter for what became of each hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from billing.clock import HOUR, format_time, from_unix, hour_of, parse_time
from billing.meters import METERS
from billing.usage.reading import HourOfUsage, State

BLOCKS = " ▁▂▃▄▅▆▇█"
ROWS = 6
MARGIN = 12
WIDEST = 120
COLOURS: dict[State, str] = {
    "reported": "green",
    "late": "blue",
    "due": "yellow",
    "refused": "red",
    "unreported": "magenta",
    "damaged": "cyan",
}
LETTERS: dict[State, str] = {
    "reported": "·",
    "late": "L",
    "due": "D",
    "refused": "R",
    "unreported": "U",
    "damaged": "X",
}
# What a column of several hours shows: the worst of them.
WORST_FIRST: tuple[State, ...] = ("damaged", "unreported", "refused", "due", "late", "reported")
# Hours that a column can have, and that can lie between two dates on the axis: they divide a day, or are whole days.
DAY = 24
STEPS = (1, 2, 3, 4, 6, 8, 12, DAY, 2 * DAY, 4 * DAY)
TICKS = (1, 3, 6, 12, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY)
LABEL_WIDTH = len("23 Nov  ")


@dataclass(frozen=True, slots=True)
class Axis:
    """Some columns of `step` hours each, the first of which begins at `start`."""

    start: datetime
    step: int
    columns: int

    def column_of(self, moment: datetime) -> int:
        """Return the column in which a moment lies."""
        return (moment - self.start) // (self.step * HOUR)

    def begins(self, column: int) -> datetime:
        """Return when a column begins."""
        return self.start + column * self.step * HOUR


def axis(since: datetime, until: datetime, width: int) -> Axis:
    """Return the axis of all hours from `since` up to `until`, at most `width` columns wide."""
    for step in STEPS:
        start = _floor(since, step)
        columns = -(-(until - start) // (step * HOUR))
        if columns <= width:
            break
    return Axis(start, step, columns)


def _floor(moment: datetime, hours: int) -> datetime:
    return from_unix(moment.timestamp() // (hours * 3600) * hours * 3600)


def picture(hours: Sequence[HourOfUsage], since: datetime, until: datetime, width: int) -> RenderableType:
    """Draw every meter of an organisation's hours from `since` up to `until`, at most `width` columns wide."""
    time = axis(since, until, max(1, min(width, WIDEST) - MARGIN))
    states = _states(hours, time)
    lines: list[Text] = []
    for meter in METERS:
        heights = _heights(hours, meter.event_name, time)
        highest = max(heights, default=0)
        lines.append(Text(f"{meter.display_name}, highest {highest:,.0f} an hour", style="bold"))
        lines += _rows(heights, states, highest)
        lines += _time_lines(time)
        lines.append(Text(f"{'':>11}").append_text(_marks(states)))
        lines.append(Text())
    column = "an hour" if time.step == 1 else f"{time.step} hours: the highest count, the worst state"
    lines.append(Text(f"{format_time(hour_of(since))} … {format_time(until)}; a column is {column}."))
    lines.append(_legend(hours))
    return Group(*lines)


def _of_known_start(hours: Sequence[HourOfUsage], time: Axis) -> list[tuple[int, HourOfUsage]]:
    """Return the hours with their columns; without those whose start is no time."""
    found = []
    for hour in hours:
        try:
            found.append((time.column_of(parse_time(hour.window_start)), hour))
        except ValueError:
            continue
    return found


def _states(hours: Sequence[HourOfUsage], time: Axis) -> list[State | None]:
    states: list[State | None] = [None] * time.columns
    for column, hour in _of_known_start(hours, time):
        states[column] = min((hour.state, states[column] or hour.state), key=WORST_FIRST.index)
    return states


def _heights(hours: Sequence[HourOfUsage], event_name: str, time: Axis) -> list[float]:
    heights = [0.0] * time.columns
    for column, hour in _of_known_start(hours, time):
        heights[column] = max(heights[column], float(hour.counted.get(event_name, 0)))
    return heights


def _rows(heights: Sequence[float], states: Sequence[State | None], highest: float) -> list[Text]:
    eighths = [round(height / highest * ROWS * 8) if highest > 0 else 0 for height in heights]
    rows = []
    for row in range(ROWS - 1, -1, -1):
        label = f"{highest:>9,.0f} " if row == ROWS - 1 else f"{0:>9} " if row == 0 else f"{'':>10}"
        line = Text(label + "│")
        for filled, state in zip(eighths, states, strict=True):
            line.append(BLOCKS[min(8, max(0, filled - row * 8))], style=COLOURS[state] if state else "")
        rows.append(line)
    return rows


def _marks(states: Sequence[State | None]) -> Text:
    return Text.assemble(*((LETTERS[state], COLOURS[state]) if state else " " for state in states))


def _time_lines(time: Axis) -> list[Text]:
    """Return the axis and, below it, dates; times of the day where the dates leave room for them."""
    every = next((tick for tick in TICKS if tick >= time.step and tick // time.step >= LABEL_WIDTH), TICKS[-1])
    line, labels = ["─"] * time.columns, [" "] * (time.columns + LABEL_WIDTH)
    for column in range(time.columns):
        moment = time.begins(column)
        if _floor(moment, every) == moment:
            line[column] = "┬"
            label = f"{moment:%d %b}" if moment.hour == 0 else f"{moment:%H:%M}"
            labels[column : column + len(label)] = label
    return [Text(f"{'':>10}└{''.join(line)}"), Text(f"{'':>11}{''.join(labels).rstrip()}", style="dim")]


def _legend(hours: Sequence[HourOfUsage]) -> Text:
    """Explain the letters that are there, and say of how many hours each is."""
    counts = Counter(hour.state for hour in hours)
    parts = [(f"{LETTERS[state]} {state} ({counts[state]} h)   ", COLOURS[state]) for state in COLOURS if counts[state]]
    return Text.assemble("Below the dates: ", *parts, "blank: no usage")
