"""A picture of the day: what was counted and what Stripe bills, hour by hour."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from billing import clock
from programs.demo.day import DAY, MIDNIGHT, Day


def draw(day: Day, path: Path) -> None:
    """Write the picture as PNG: a row for each organisation, counted readings as bars and billed ones as dots."""
    rows = day.organizations
    figure, axes = pyplot.subplots(len(rows), 1, figsize=(11, 2.1 * len(rows)), sharex=True, layout="constrained")
    for axis, organization in zip(axes, rows, strict=True):
        billed = {
            clock.from_unix(seconds).hour: value
            for seconds, value in day.stack.simulator.account.hourly(
                organization.customer_id or "", "temperature_readings"
            ).items()
            if DAY.timestamp() <= seconds < MIDNIGHT.timestamp()
        }
        hours = range(24)
        axis.bar(hours, [organization.readings[hour] for hour in hours], color="#c9d8e6", label="counted")
        axis.plot(list(billed), list(billed.values()), "o", color="#d1495b", markersize=5, label="billed by Stripe")
        if organization.ended_at is not None:
            axis.axvline(organization.ended_at.hour + organization.ended_at.minute / 60 - 0.5, color="#555", ls="--")
            axis.annotate("cancelled", (organization.ended_at.hour, 1), fontsize=8, color="#555")
        axis.set_title(organization.organization_id, loc="left", fontsize=10)
        axis.set_ylabel("readings")
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    axes[-1].set_xlabel("hour of the day (UTC)")
    axes[-1].set_xticks(range(24))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
