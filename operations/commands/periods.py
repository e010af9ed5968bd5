"""Billing periods: what each counts, what its invoices bill, and what is told about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from billing import clock
from billing.clock import format_time
from billing.invoices.counting import count_period
from billing.meters import METERS
from billing.periods import Period
from billing.tables.periods import PeriodRecord, period_key, periods_of, stored
from billing.tables.subscriptions import subscriptions_of
from operations.organizations import check_is_known
from operations.session import session_of

COLOURS = {"open": "cyan", "draft": "yellow", "closed": "green", "not_invoiced": "red", "damaged": "magenta"}
MISSING = "numbers_missing"
"""What a `last` meter tells of which no number was recorded."""


def periods(
    context: typer.Context,
    organization: Annotated[str | None, typer.Argument(help="The organisation's id; all, if left out.")] = None,
    told: Annotated[bool, typer.Option("--told", help="Only periods that tell something.")] = False,
) -> None:
    """Show billing periods: what was counted, invoiced and carried, and what is told about it."""
    session = session_of(context)
    if organization is not None:
        check_is_known(organization)
    values = [each for each in _periods(organization) if each["told"] or not told]
    for each in values:
        _count_what_is_open(each)
    shown: list[RenderableType] = [_shown(each) for each in values] or ["No billing periods."]
    session.show({"periods": [{name: each[name] for name in each if name != "span"} for each in values]}, *shown)


def _periods(organization_id: str | None) -> Iterator[dict[str, Any]]:
    """Yield all periods that have an item; of one organisation also those that need none yet."""
    found = set()
    for record in PeriodRecord.scan() if organization_id is None else periods_of(organization_id):
        found.add(record.period)
        yield _values(record.organization_id, stored(record))
    for subscription in subscriptions_of(organization_id, consistent=True) if organization_id is not None else ():
        for span in subscription.periods():
            if span.starts_at <= clock.utc_now() and period_key(*span.key) not in found:
                yield _values(organization_id or "", Period(span, meters=subscription.meters))


def _values(organization_id: str, period: Period) -> dict[str, Any]:
    span = period.span
    names = {*period.meters, *period.counted, *(name for carried in period.carried.values() for name in carried)}
    told: dict[str, dict[str, int | None]] = {code: dict(totals) for code, totals in period.told.items()}
    if period.is_damaged:
        told["damaged"] = {}
    if period.missing:
        told[MISSING] = dict.fromkeys(period.missing)
    return {
        "organization_id": organization_id,
        "stripe_subscription_id": span.subscription_id,
        "stripe_customer_id": span.customer_id,
        "starts_at": format_time(span.starts_at),
        "ends_at": format_time(span.ends_at) if span.ends_at else None,
        "is_trial": span.is_trial,
        "state": "damaged" if period.is_damaged else period.state,
        "finalizes_at": format_time(period.finalizes_at) if period.finalizes_at else None,
        "meters": {
            meter.event_name: {
                "counted": period.counted.get(meter.event_name),
                "invoiced": period.invoiced(meter.event_name),
                "carried_in": period.carried_in(meter.event_name),
            }
            for meter in METERS
            if meter.event_name in names
        },
        "carried": {hour: dict(totals) for hour, totals in period.carried.items()},
        "carried_why": list(period.carried_why),
        "late_hours": list(period.late_hours),
        "told": told,
        "invoices": {invoice_id: asdict(invoice) for invoice_id, invoice in period.invoices.items()},
        "span": None if period.is_settled else span,
    }


def _count_what_is_open(values: dict[str, Any]) -> None:
    """Count the hours of a period that is not settled: its item says nothing of them yet."""
    if values.get("span") is not None:
        counted = count_period(values["organization_id"], values["span"], clock.utc_now()).counted
        for name, numbers in values["meters"].items():
            numbers["counted"] = counted.get(name)


def _shown(values: dict[str, Any]) -> RenderableType:
    """Return a period as a heading and a row a meter; whatever the width, everything is there whole."""
    state = Text(f"{values['state']}{', trial' if values.get('is_trial') else ''}", style=COLOURS[values["state"]])
    until = values["ends_at"] or "…"
    heading = Text.assemble((values["organization_id"], "bold"), f"  {values['starts_at']} – {until}  ", state)
    table = Table(
        Column("Meter", min_width=22, no_wrap=True),
        *(Column(name, justify="right", min_width=9, overflow="fold") for name in ("Counted", "Invoiced", "Carried")),
        Column("Told", overflow="fold"),
        box=None,
    )
    for name, numbers in values["meters"].items():
        cells = ("" if number is None else str(number) for number in numbers.values())
        table.add_row(name, *cells, ", ".join(_told_of(values["told"], name)))
    lines = [f"{invoice_id} {invoice['status']}" for invoice_id, invoice in values["invoices"].items()]
    lines += [f"carried: {why}" for why in values["carried_why"]]
    if values["finalizes_at"]:
        lines.append(f"the draft waits until {values['finalizes_at']}")
    notes = [Padding(Text(line, overflow="fold", style="dim"), (0, 0, 0, 2)) for line in lines]
    return Group(heading, Padding(table, (0, 0, 0, 1)), *notes, "")


def _told_of(told: dict[str, dict[str, int | None]], event_name: str) -> Iterator[str]:
    for code, totals in told.items():
        if event_name in totals:
            yield code if totals[event_name] is None else f"{code} {totals[event_name]}"
