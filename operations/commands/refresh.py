"""Organisations' records, fetched from Stripe anew."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import typer

from billing.rate_limit import RateLimit
from billing.settings import reconciliation_calls_per_second
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.stripe_secrets import secrets_reader
from billing.webhooks.linking import refresh_organization
from operations.organizations import customers_at_stripe, known_customers
from operations.output import table_of
from operations.session import FAILURES, DryRun, in_words, session_of, without_metrics


def refresh(
    context: typer.Context,
    organizations: Annotated[list[str] | None, typer.Argument(help="The organisations' ids.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="All that the tables or Stripe's metadata name.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Fetch organisations' subscriptions from Stripe anew: after a restored, lost or damaged table.

    Exit code 1 where one of them failed; the others are fetched all the same.
    """
    session, gateway = session_of(context), stripe_gateway()
    if bool(organizations) == everyone:
        raise typer.BadParameter("Name organisations, or give --all.")
    customers = known_customers()
    if everyone:
        # What a lost table had is in Stripe's metadata.
        for organization_id, customer_ids in customers_at_stripe(gateway).items():
            customers.setdefault(organization_id, set()).update(customer_ids)
    chosen = sorted(organizations or customers)
    limit = RateLimit(reconciliation_calls_per_second(secrets_reader().current().api_key))
    rows: list[dict[str, Any]] = []
    with session.work(chosen, "Fetching", len(chosen), "organisations") as waiting:
        for organization_id in waiting:
            customer_ids = customers.get(organization_id, set())
            row: dict[str, Any] = {"organization_id": organization_id, "customers": sorted(customer_ids)}
            if not dry_run:
                limit.wait(1 + len(customer_ids))
            rows.append(row | ({"outcome": None} if dry_run else _refreshed(gateway, organization_id, customer_ids)))
    cells = [
        (
            row["organization_id"],
            " ".join(row["customers"]),
            row.get("error") or (row["outcome"] or "would be fetched").replace("_", " "),
        )
        for row in rows
    ]
    table = table_of(["Organisation", "Customers", "Outcome"], cells)
    session.show({"organizations": rows, "dry_run": dry_run}, table if chosen else "There is no organisation.")
    session.end(failed=any(row["outcome"] == "failed" for row in rows))


def _refreshed(gateway: StripeGateway, organization_id: str, customer_ids: Collection[str]) -> dict[str, str]:
    try:
        with without_metrics():
            return {"outcome": refresh_organization(gateway, organization_id, customer_ids)}
    except FAILURES as error:
        return {"outcome": "failed", "error": in_words(error)}
