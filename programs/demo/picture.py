"""A picture of the story: both meters by the hour, what went wrong and when, and what each invoice bills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from billing.clock import HOUR
from programs.demo.book import READINGS, SENSORS, Organization
from programs.demo.narrator import Draft
from programs.demo.outcome import Line
from programs.demo.passage import Mark

COLOURS = {0: "#bcd4e6", 1: "#5b8db8", None: "#dddddd"}
SENSORS_COLOUR, INVOICED_COLOUR, FAULT_COLOUR, DRAFT_COLOUR = "#e08e0b", "#2e7d32", "#c0392b", "#9ccc65"
LEGEND = [
    Patch(color=COLOURS[0], label="readings, 1st period"),
    Patch(color=COLOURS[1], label="readings, 2nd period"),
    Patch(color=COLOURS[None], label="readings outside of a subscription"),
    Patch(color=SENSORS_COLOUR, label="active sensors"),
    Line2D([], [], color=DRAFT_COLOUR, linewidth=4, label="draft waits"),
    Patch(color=INVOICED_COLOUR, label="on final invoices"),
]


@dataclass(frozen=True, slots=True)
class Day:
    """A part of the time axis that was lived hour by hour."""

    title: str
    start: datetime
    end: datetime

    def place(self, moment: datetime) -> float:
        """Return where a moment is on the axis, in hours of the day."""
        return self.start.hour + (moment - self.start) / HOUR

    def has(self, moment: datetime) -> bool:
        """Say whether a moment is on the axis."""
        return self.start <= moment <= self.end


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the picture shows."""

    days: Sequence[Day]
    organizations: Sequence[Organization]
    marks: Sequence[Mark]
    drafts: Sequence[Draft]
    lines: Sequence[Line]

    def marks_of(self, organization_id: str) -> list[Mark]:
        """Return what went wrong for an organisation: what names it, or none."""
        names = [each.organization_id for each in self.organizations]
        return [
            mark for mark in self.marks if organization_id in mark.text or not any(name in mark.text for name in names)
        ]


def draw(drawing: Drawing, path: Path) -> None:
    """Write the picture as PNG: what went wrong on top, a row for each organisation, its invoices to the right."""
    days, organizations = drawing.days, drawing.organizations
    figure, axes = pyplot.subplots(
        1 + len(organizations),
        4,
        figsize=(17, 2.4 + 1.75 * len(organizations)),
        width_ratios=[16, 15, 4.5, 4.5],
        height_ratios=[1.5, *[1] * len(organizations)],
        layout="constrained",
    )
    for column, day in enumerate(days):
        _draw_marks(axes[0][column], day, [mark for mark in drawing.marks if day.has(mark.at)])
    by_meter = {(line.organization_id, line.event_name): line for line in drawing.lines}
    for row, organization in zip(axes[1:], organizations, strict=True):
        for column, day in enumerate(days):
            _draw_around(row[column], day, organization, drawing)
            _draw_readings(row[column], day, organization)
            _draw_sensors(row[column].twinx(), day, organization, is_rightmost=column == len(days) - 1)
        for axis, event_name in zip(row[2:], (READINGS, SENSORS), strict=True):
            _draw_invoices(axis, by_meter[organization.organization_id, event_name])
        row[0].set_ylabel("readings")
        row[0].set_title(organization.organization_id, loc="left", fontsize=11, fontweight="bold")
    for axis, title in zip(axes[0][2:], ("readings", "active sensors"), strict=True):
        axis.set_axis_off()
        axis.text(0.5, 0, f"{title}\nto bill, and\ninvoiced", ha="center", va="bottom", fontsize=11)
    for axis in axes[-1][:2]:
        axis.set_xlabel("hour of the day (UTC)")
    for axis in axes[-1][2:]:
        axis.set_xlabel("period")
    figure.suptitle("What six organisations used, and what Stripe's final invoices bill them", fontsize=15)
    figure.legend(handles=LEGEND, loc="outside lower center", ncols=len(LEGEND), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _set_axis(axis: Any, day: Day) -> None:
    first, last = day.place(day.start), day.place(day.end)
    axis.set_xlim(first, last)
    axis.set_xticks(range(int(first), int(last) + 1, 2))
    axis.spines[["top", "right"]].set_visible(False)


def _draw_marks(axis: Any, day: Day, marks: Sequence[Mark]) -> None:
    """Draw what went wrong, each on a line of its own, with its text beside it."""
    _set_axis(axis, day)
    axis.set_title(day.title, fontsize=12)
    axis.set_ylim(len(marks) - 0.3, -0.7)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    first, last = axis.get_xlim()
    for line, mark in enumerate(marks):
        begin, end = day.place(mark.at), day.place(mark.until or mark.at)
        axis.plot([begin, end], [line, line], "-o", color=FAULT_COLOUR, linewidth=5, markersize=5)
        is_left = begin > (first + last) / 2
        place = begin - 0.3 if is_left else end + 0.3
        axis.text(place, line, mark.text, ha="right" if is_left else "left", va="center", fontsize=9)


def _draw_readings(axis: Any, day: Day, organization: Organization) -> None:
    """Draw the readings of each hour; what came after its invoice was final in the colour of the one that bills it."""
    for hour, number in sorted(organization.readings.items()):
        if day.has(hour):
            late, period = organization.late[hour], organization.period_of(hour)
            place = day.place(hour)
            axis.bar(place, number - late, color=COLOURS[period], width=0.85, align="edge")
            if late:
                axis.bar(place, late, bottom=number - late, color=COLOURS[1], width=0.85, align="edge")
                axis.text(place + 0.4, number, "late", ha="center", va="bottom", fontsize=9, color=FAULT_COLOUR)


def _draw_around(axis: Any, day: Day, organization: Organization, drawing: Drawing) -> None:
    """Draw what went wrong, when the subscription begins and its periods end, and how long drafts wait."""
    _set_axis(axis, day)
    most = max(organization.readings.values())
    axis.set_ylim(0, most * 1.5)
    axis.locator_params(axis="y", nbins=4)
    for mark in drawing.marks_of(organization.organization_id):
        if day.has(mark.at):
            begin, end = day.place(mark.at), day.place(mark.until or mark.at)
            axis.axvspan(begin - 0.04, end + 0.04, color=FAULT_COLOUR, alpha=0.13, linewidth=0)
    for draft in drawing.drafts:
        if draft.organization_id == organization.organization_id and day.has(draft.since):
            places = [day.place(draft.since), day.place(draft.until)]
            axis.plot(places, [most * 1.4] * 2, color=DRAFT_COLOUR, linewidth=5, solid_capstyle="butt")
    ends = [(start, "renews") for start in organization.starts[1:]]
    ends += [(start, "subscribes") for start in organization.starts[:1]]
    ends += [(organization.ended_at, "ends")] if organization.ended_at else []
    for moment, word in ends:
        if day.has(moment):
            axis.axvline(day.place(moment), color="#333333", linestyle="--", linewidth=1)
            axis.text(day.place(moment) + 0.1, most * 1.22, f"{word} {moment:%H:%M}", fontsize=9, color="#333333")


def _draw_sensors(axis: Any, day: Day, organization: Organization, *, is_rightmost: bool) -> None:
    hours = [hour for hour in sorted(organization.active_sensors) if day.has(hour)]
    axis.plot(
        [day.place(hour) + 0.42 for hour in hours],
        [organization.active_sensors[hour] for hour in hours],
        "o-",
        color=SENSORS_COLOUR,
        markersize=3,
        linewidth=1.2,
    )
    if organization.tells_once:
        (told_at, number), *_ = organization.active_sensors.items()
        begin = max(day.place(day.start), day.place(told_at) + 0.42)
        axis.plot([begin, day.place(day.end)], [number] * 2, "--", color=SENSORS_COLOUR, linewidth=1.2)
    axis.set_ylim(0, max(organization.active_sensors.values()) * 1.5)
    axis.locator_params(axis="y", nbins=4, integer=True)
    axis.tick_params(axis="y", labelcolor=SENSORS_COLOUR)
    axis.spines[["top", "left"]].set_visible(False)
    if is_rightmost:
        axis.set_ylabel("sensors", color=SENSORS_COLOUR)
    else:
        axis.set_yticks([])
        axis.spines["right"].set_visible(False)


def _draw_invoices(axis: Any, line: Line) -> None:
    """Draw what each period's invoice has to bill, beside what it bills."""
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_yticks([])
    axis.set_xlim(-0.6, 1.6)
    axis.set_xticks([0, 1], ["1", "2"])
    axis.set_ylim(0, 1.35 * max([1, *(number for each in line.periods for number in (each.to_bill, each.invoiced))]))
    for number, period in enumerate(line.periods):
        colour = COLOURS[number] if line.event_name == READINGS else SENSORS_COLOUR
        for offset, value, fill in ((-0.2, period.to_bill, colour), (0.2, period.invoiced, INVOICED_COLOUR)):
            axis.bar(number + offset, value, width=0.36, color=fill)
            axis.text(number + offset, value, f"{value}", ha="center", va="bottom", fontsize=8)
        if period.told:
            axis.text(number + 0.2, 0, "told\n\n", ha="center", va="bottom", fontsize=9, color=FAULT_COLOUR)
    if not line.periods:
        axis.text(0.5, 0.5, "never subscribed:\ntold", ha="center", va="bottom", fontsize=9, color=FAULT_COLOUR)
