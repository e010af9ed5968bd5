"""The product, told again what is so now."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billing import clock
from operations.organizations import check_is_known
from operations.output import table_of, whole
from operations.session import FAILURES, DryRun, Time, in_words, read_time, session_of
from operations.telling import ToldItem, items_changed, items_of


def tell(
    context: typer.Context,
    organizations: Annotated[list[str] | None, typer.Argument(help="The organisations' ids.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="All organisations.")] = False,
    since: Time = None,
    dry_run: DryRun = False,
) -> None:
    """Have the product told again what is so now: after events were lost, or for a new listener on the bus.

    Subscription and access, closed periods, refused hours. With --since, of all organisations, what was written at that
    time or later; refused hours without regard to it. Exit code 1 where an item failed.
    """
    session = session_of(context)
    if bool(organizations) + everyone + (since is not None) != 1:
        raise typer.BadParameter("Name organisations, or give --all or --since.")
    for organization_id in organizations or ():
        check_is_known(organization_id)
    if organizations:
        items = [item for organization_id in organizations for item in items_of(organization_id)]
    else:
        items = list(items_changed(None if since is None else read_time(since, clock.utc_now())))
    rows: list[dict[str, Any]] = []
    with session.work(items, "Telling", len(items), "items") as waiting:
        for item in waiting:
            rows.append(item.as_dict() | ({"outcome": None} if dry_run else _told(item)))
    cells = [
        (
            row["organization_id"],
            row["kind"],
            row["key"],
            row.get("error") or (row["outcome"] or "would be told").replace("_", " "),
        )
        for row in rows
    ]
    table = table_of(["Organisation", whole("What"), "Which", "Outcome"], cells)
    session.show({"items": rows, "dry_run": dry_run}, table if rows else "There is nothing to tell.")
    session.end(failed=any(row["outcome"] == "failed" for row in rows))


def _told(item: ToldItem) -> dict[str, str]:
    try:
        return {"outcome": "told" if item.tell() else "is_gone"}
    except FAILURES as error:
        return {"outcome": "failed", "error": in_words(error)}
