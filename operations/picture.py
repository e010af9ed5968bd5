"""A picture of an organisation's usage for the terminal: a column an hour, coloured by what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from billing.meters import METERS
from billing.usage.reading import HourOfUsage, State

BLOCKS = " ▁▂▃▄▅▆▇█"
ROWS = 6
COLOURS: dict[State, str] = {
    "reported": "green",
    "late": "blue",
    "due": "yellow",
    "refused": "red",
    "unreported": "magenta",
    "damaged": "cyan",
}
# What a column of several hours shows: the worst of them.
WORST_FIRST: tuple[State, ...] = ("damaged", "unreported", "refused", "due", "late", "reported")


def picture(hours: Sequence[HourOfUsage], width: int) -> RenderableType:
    """Draw every meter of some hours, which are not empty, at most `width` columns wide."""
    lines: list[Text] = []
    for meter in METERS:
        columns = _columns(hours, meter.event_name, max(1, width - 12))
        highest = max((height for height, _ in columns), default=0)
        lines.append(Text(f"{meter.display_name}, highest {highest:,.0f} an hour", style="bold"))
        lines += _rows(columns, highest)
        first, last = hours[0].window_start, hours[-1].window_start
        lines.append(Text(f"{'':>10}└{'─' * len(columns)}"))
        lines.append(Text(f"{'':>11}{first} … {last}\n", style="dim"))
    lines.append(Text.assemble(*((f"█ {state}  ", colour) for state, colour in COLOURS.items())))
    return Group(*lines)


def _columns(hours: Sequence[HourOfUsage], event_name: str, width: int) -> list[tuple[float, State]]:
    """Put neighbouring hours into one column where there are more than fit: its highest count, its worst state."""
    hours_a_column = -(-len(hours) // width)
    columns = []
    for start in range(0, len(hours), hours_a_column):
        column = hours[start : start + hours_a_column]
        height = max(float(hour.counted.get(event_name, 0)) for hour in column)
        columns.append((height, min((hour.state for hour in column), key=WORST_FIRST.index)))
    return columns


def _rows(columns: Sequence[tuple[float, State]], highest: float) -> list[Text]:
    eighths = [(round(height / highest * ROWS * 8) if highest > 0 else 0, state) for height, state in columns]
    rows = []
    for row in range(ROWS - 1, -1, -1):
        label = f"{highest:>9,.0f} " if row == ROWS - 1 else f"{0:>9} " if row == 0 else f"{'':>10}"
        line = Text(label + "│")
        for filled, state in eighths:
            line.append(BLOCKS[min(8, max(0, filled - row * 8))], style=COLOURS[state])
        rows.append(line)
    return rows
