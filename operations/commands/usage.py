"""An organisation's hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.table import Column
from rich.text import Text

from billing.api.requests import read_range
from billing.clock import format_time
from billing.errors import RefusedError
from billing.tables.subscriptions import SubscriptionRecord
from billing.usage.reading import HourOfUsage, MeterTotal, totals, usage_between
from operations.organizations import check_is_known
from operations.output import Notes, table_of, whole
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
    check_is_known(organization)
    hours = usage_between(organization, since, until)
    meter_totals = totals(hours)
    record = SubscriptionRecord.of(organization)
    customer_id = (record and record.stripe_customer_id) or "no Stripe customer"
    title = f"{organization}: {customer_id}, {(record and record.status) or 'no subscription'}"
    values = {
        "organization_id": organization,
        "hours": [asdict(hour) for hour in hours],
        "totals": {name: asdict(total) for name, total in meter_totals.items()},
    }
    if not hours:
        shown: Sequence[RenderableType] = [f"No usage from {format_time(since)} to {format_time(until)}."]
    elif plot:
        shown = [picture(hours, since, until, session.out.width)]
    else:
        shown = _table(hours, meter_totals, session.out)
    session.show(values, Text(title, style="bold"), *shown)


def _table(
    hours: Sequence[HourOfUsage], meter_totals: Mapping[str, MeterTotal], console: Console
) -> Sequence[RenderableType]:
    """Return a row an hour, and what is to be said of it."""
    notes = Notes(console)
    rows: list[tuple[str | Text, ...]] = [
        (
            hour.window_start,
            Text(hour.state, style=COLOURS[hour.state]),
            *(str(numbers.get(name, "")) for name in meter_totals for numbers in (hour.counted, hour.reported)),
            notes.cell(_note(hour)),
        )
        for hour in hours
    ]
    sums = [str(number) for total in meter_totals.values() for number in (total.counted, total.reported)]
    rows.append(("Total", "", *sums, notes.cell("of `last` meters the last hour's")))
    headers = [f"{notes.meter(name)} {column}" for name in meter_totals for column in ("counted", "reported")]
    widths = [
        max(len(text) for text in [*header.split(), *cells])
        for header, cells in zip(headers, list(zip(*rows, strict=True))[2:-1], strict=True)
    ]
    numbers = [
        Column(header, justify="right", width=width if notes.is_narrow else None)
        for header, width in zip(headers, widths, strict=True)
    ]
    table = table_of([whole("Hour"), whole("State"), *numbers, "Note"], rows, gap=1 if notes.is_narrow else 2)
    return [table, *notes.below()]


def _note(hour: HourOfUsage) -> str:
    not_sold = f"not sold: {', '.join(hour.not_sold)}" if hour.not_sold else ""
    carried = ", ".join(f"{number} {name}" for name, number in hour.carried.items() if number)
    return "; ".join(filter(None, [hour.reason, not_sold, f"carried in: {carried}" if carried else ""]))
