"""Organisations' records, fetched from Stripe anew."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException
from rich.table import Table

from billing.errors import BillingError
from billing.rate_limit import RateLimit
from billing.settings import reconciliation_calls_per_second
from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_secrets import secrets_reader
from billing.webhooks.linking import refresh_organization
from operations.organizations import customers_at_stripe, known_customers
from operations.session import DryRun, session_of, without_metrics


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
    for organization_id in session.progress(chosen, "Fetching", len(chosen)):
        customer_ids = customers.get(organization_id, set())
        row: dict[str, Any] = {"organization_id": organization_id, "customers": sorted(customer_ids), "outcome": None}
        if not dry_run:
            limit.wait(1 + len(customer_ids))
            try:
                with without_metrics():
                    row["outcome"] = refresh_organization(gateway, organization_id, customer_ids)
            except (BillingError, BotoCoreError, ClientError, PynamoDBException) as error:
                row |= {"outcome": "failed", "error": f"{type(error).__name__}: {error}"}
        rows.append(row)
    table = Table("Organisation", "Customers", "Outcome")
    for row in rows:
        outcome = row["outcome"] or "would be fetched"
        table.add_row(row["organization_id"], " ".join(row["customers"]), row.get("error", outcome.replace("_", " ")))
    session.show({"organizations": rows, "dry_run": dry_run}, table if rows else "There is no organisation.")
    if any(row["outcome"] == "failed" for row in rows):
        raise typer.Exit(1)
