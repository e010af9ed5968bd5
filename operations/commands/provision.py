"""The Stripe account, made as the file and the code have it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from billing.stripe_gateway.calls import stripe_gateway
from operations import connection
from operations.output import table_of, whole
from operations.provisioning.account import plan_account
from operations.provisioning.catalogue import DEFAULT_PATH, read_catalogue
from operations.provisioning.sales import Sales
from operations.provisioning.secrets import StripeSecretDocument
from operations.provisioning.steps import Action, Step, changes, refusals
from operations.session import session_of

_COLOUR = {
    Action.KEEP: "dim",
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.REPLACE: "yellow",
    Action.REFUSE: "red",
    Action.NOTE: "magenta",
}


def provision(
    context: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Carry the plan out.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 where the account is not as planned.")] = False,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where Stripe is to deliver; the stack's own with --stack.")
    ] = None,
    secrets_file: Annotated[
        Path | None, typer.Option(help="Keep signing secrets in this file (local runs), not in Secrets Manager.")
    ] = None,
    rotate_secrets: Annotated[
        bool, typer.Option("--rotate-secrets", help="Replace both destinations, which then sign with new secrets.")
    ] = False,
    catalogue: Annotated[Path, typer.Option(help="The file of products and prices.")] = DEFAULT_PATH,
) -> None:
    """Make the Stripe account as the file and the code have it: meters, prices, the customer portal, destinations.

    Shows the plan; --apply carries it out. Safe to run again. Where something cannot be changed, nothing is.
    """
    session = session_of(context)
    gateway = stripe_gateway()
    sales = Sales(read_catalogue(catalogue), gateway)
    url = webhook_url or session.outputs.get(connection.WEBHOOK_URL)

    store = connection.secret_store(secrets_file)
    secrets = StripeSecretDocument(store) if store is not None else None
    steps = plan_account(sales, gateway, url, secrets, rotate=rotate_secrets)
    refused = refusals(steps)
    if apply and changes(steps) and not refused:
        if not session.as_json:
            session.out.print(_plan_table(steps))
        with session.work(changes(steps), "Provisioning", len(changes(steps)), "steps") as waiting:
            for step in waiting:
                assert step.carry_out is not None  # noqa: S101  # that is what `changes` chose
                step.carry_out()
        steps = plan_account(sales, gateway, url, secrets)
    remaining = changes(steps)
    if refused:
        conclusion = "[red]Nothing was changed[/red]: see what is refused above."
    elif remaining and not apply:
        conclusion = "This is the plan; --apply carries it out."
    elif remaining:
        conclusion = "[red]Stripe does not show all of it yet[/red]: run again."
    else:
        conclusion = "The account is as planned."
    values = {
        "steps": [step.as_dict() for step in steps],
        "applied": apply and not refused,
        "price_ids": sales.price_ids,
    }
    prices = "AllowedPriceIds=" + ",".join(sales.price_ids.values())
    session.show(values, _plan_table(steps), conclusion, *([prices] if sales.price_ids else []))
    session.end(failed=bool(refused or (remaining and (apply or check))))


def _plan_table(steps: Iterable[Step]) -> Table:
    rows = [(Text(step.action.value, style=_COLOUR[step.action]), step.subject, step.detail) for step in steps]
    return table_of([whole(""), "What", "How"], rows)
