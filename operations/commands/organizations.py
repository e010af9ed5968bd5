"""The organisations that have a record."""

from __future__ import annotations

from collections.abc import Iterable

import typer
from rich.table import Column, Table

from billing import clock
from billing.stripe_limits import OLDEST_USAGE
from operations.organizations import Overview, overviews
from operations.output import table_of, whole
from operations.session import session_of


def organizations(context: typer.Context) -> None:
    """List the organisations that have a record: status, prices, the last hour of usage, due and refused hours.

    Printed a hundred at a time, in no order. The hours are those of the past 35 days. Reads SubscriptionsTable whole
    and, of UsageTable, these 35 days of each: some 30 read units for an organisation that uses something in every hour.
    Who has usage and no record is not among them: requeue-refused --dry-run lists such hours.
    """
    session = session_of(context)
    with session.listing("organizations", "No organisation has a record.") as add:
        for page in overviews(clock.utc_now() - OLDEST_USAGE):
            add([each.as_dict() for each in page], _table(page))


def _table(page: Iterable[Overview]) -> Table:
    # The least widths keep the tables of two pages in line.
    columns: list[str | Column] = [
        Column("Organisation", min_width=16),
        whole("Status", least=10),
        whole("Last hour", least=20),
        whole("Due", is_number=True, least=4),
        whole("Refused", is_number=True),
        "Prices",
    ]
    rows = [
        (
            each.organization_id,
            each.status or "",
            each.last_hour or "none",
            str(each.due_hours),
            str(each.refused_hours),
            ",".join(each.price_ids),
        )
        for each in page
    ]
    return table_of(columns, rows)
