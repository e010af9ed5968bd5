"""The picture of a customer's statement: a bar an hour over the whole period, as SVG within the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from html import escape

from billing.clock import HOUR, hour_of, parse_time
from billing.invoices.explanation import ExplainedHour
from billing.meters import LAST_METERS

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 1000, 190, 62, 12, 26
MOST_BARS = 800
LABEL_WIDTH = 62


def picture(hours: Sequence[ExplainedHour], name: str, since: datetime, until: datetime, title: str) -> str:
    """Return a figure of what some hours count of a meter; where there are too many, a bar stands for several."""
    start = hour_of(since)
    count = max(1, -(-(until - start) // HOUR))
    step = next(step for step in (1, 2, 3, 4, 6, 8, 12, 24, 48, 168, 10_000) if count / step <= MOST_BARS)
    columns = -(-count // step) + 1
    bars = _bars(hours, name, start, step)
    highest = max((own + away + carried for own, away, carried in bars.values()), default=0)
    scale = (HEIGHT - TOP - BOTTOM) / highest if highest else 0.0
    width = (WIDTH - LEFT) / columns
    shapes: list[str] = []
    if name in LAST_METERS:
        shapes += _held(bars, scale, width, columns)
    for column, numbers in sorted(bars.items()):
        bottom = float(HEIGHT - BOTTOM)
        for number, colour in zip(numbers, ("--bar", "--away", "--carried"), strict=True):
            if number:
                bottom -= number * scale
                shapes.append(
                    f'<rect x="{LEFT + column * width:.2f}" y="{bottom:.2f}" width="{max(width * 0.9, 0.6):.2f}" '
                    f'height="{max(number * scale, 0.8):.2f}" style="fill: var({colour})"/>'
                )
    each = "an hour" if step == 1 else f"{step} hours"
    label = f"{title}, highest {highest:,}; a bar is {each}"
    kinds = [_KINDS[index] for index in (0, 1, 2) if any(numbers[index] for numbers in bars.values())]
    legend = " &nbsp; ".join(f'<span style="color: var({colour})">■</span> {text}' for colour, text in kinds)
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{_axes(highest)}'
        f"{''.join(shapes)}{_dates(start, columns, step, width)}</svg>"
        f'<figcaption class="dim">A bar is {each}. {legend}</figcaption></figure>'
    )


_KINDS = (("--bar", "on this invoice"), ("--away", "on another invoice"), ("--carried", "from earlier periods"))


def _bars(hours: Sequence[ExplainedHour], name: str, start: datetime, step: int) -> dict[int, tuple[int, int, int]]:
    """Return by column what is on this invoice, on another, and from earlier periods: of several hours added up."""
    bars: dict[int, tuple[int, int, int]] = {}
    for hour in hours:
        column = (parse_time(hour.window_start) - start) // (step * HOUR)
        own, away, carried = bars.get(column, (0, 0, 0))
        number = hour.counted.get(name, 0)
        here, there = (number, 0) if hour.place == "here" else (0, number)
        if name in LAST_METERS:
            bars[column] = (max(own, here), max(away, there), 0)
        else:
            bars[column] = (own + here, away + there, carried + hour.carried.get(name, 0))
    return bars


def _held(bars: dict[int, tuple[int, int, int]], scale: float, width: float, columns: int) -> Iterator[str]:
    """Yield how long each number was the newest: until the next one."""
    starts = sorted(bars)
    for column, following in zip(starts, [*starts[1:], columns], strict=True):
        height = max(bars[column]) * scale
        yield (
            f'<rect x="{LEFT + column * width:.2f}" y="{HEIGHT - BOTTOM - height:.2f}" height="{height:.2f}" '
            f'width="{(following - column) * width:.2f}" style="fill: var(--bar); opacity: .25"/>'
        )


def _axes(highest: int) -> str:
    bottom = HEIGHT - BOTTOM
    line = 'style="stroke: var(--rule)"'
    return (
        f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH}" y2="{bottom}" {line}/>'
        f'<line x1="{LEFT}" y1="{TOP}" x2="{WIDTH}" y2="{TOP}" {line} stroke-dasharray="3 4"/>'
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{highest:,}</text>'
        f'<text x="{LEFT - 6}" y="{bottom + 4}" text-anchor="end">0</text>'
    )


def _dates(start: datetime, columns: int, step: int, width: float) -> str:
    """Return dates below the axis, as many as have room."""
    days = next(
        days for days in (1, 2, 3, 7, 14, 28, 56, 112, 10_000) if days * 24 / step * width >= LABEL_WIDTH or days > 9999
    )
    day, texts = start.replace(hour=0) + timedelta(days=1 if start.hour else 0), []
    while (x := LEFT + (day - start) / (step * HOUR) * width) < LEFT + columns * width - LABEL_WIDTH / 2:
        texts.append(f'<line x1="{x:.1f}" y1="{HEIGHT - BOTTOM}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM + 5}" ')
        texts.append('style="stroke: var(--dim)"/>')
        texts.append(f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{day.day} {day:%b}</text>')
        day += timedelta(days=days)
    return "".join(texts)
