"""An organisation's hours."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table

from billing.api.requests import read_range
from billing.errors import RefusedError
from billing.tables.subscriptions import SubscriptionRecord
from billing.usage.reading import totals, usage_between
from operations.picture import COLOURS, picture
from operations.session import Time, session_of


def usage(
    context: typer.Context,
    organization: Annotated[str, typer.Argument(help="The organisation's id.")],
    start: Time = None,
    end: Time = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the hours instead of listing them.")] = False,
) -> None:
    """Show what an organisation used hour by hour, and what was reported of it (by default the past week)."""
    session = session_of(context)
    try:
        since, until = read_range(start, end)
    except RefusedError as error:
        raise typer.BadParameter(f"start or end: {error}") from None
    hours = usage_between(organization, since, until)
    meter_totals = totals(hours)
    # Whatever the width, the hour and the reason are there whole.
    table = Table(
        Column("Hour", no_wrap=True),
        Column("State", no_wrap=True),
        *(Column(f"{name} {column}", overflow="fold") for name in meter_totals for column in ("counted", "reported")),
        Column("Reason", overflow="fold"),
    )
    for hour in hours:
        cells = [str(numbers.get(name, "")) for name in meter_totals for numbers in (hour.counted, hour.reported)]
        state = f"[{COLOURS[hour.state]}]{hour.state}[/]"
        not_sold = f"not sold: {', '.join(hour.not_sold)}" if hour.not_sold else ""
        carried = ", ".join(f"{number} {name}" for name, number in hour.carried.items() if number)
        notes = [hour.reason, not_sold, f"carried in: {carried}" if carried else ""]
        table.add_row(hour.window_start, state, *cells, "; ".join(filter(None, notes)))
    table.add_section()
    sums = [str(number) for total in meter_totals.values() for number in (total.counted, total.reported)]
    table.add_row("Total", "", *sums, "of `last` meters the last hour's")
    record = SubscriptionRecord.of(organization)
    customer_id = (record and record.stripe_customer_id) or "no Stripe customer"
    title = f"{organization}: {customer_id}, {(record and record.status) or 'no subscription'}"
    values = {
        "organization_id": organization,
        "hours": [asdict(hour) for hour in hours],
        "totals": {name: asdict(total) for name, total in meter_totals.items()},
    }
    if not hours:
        session.show(values, title, "No usage in these hours.")
    else:
        session.show(values, title, picture(hours, session.out.width) if plot else table)
