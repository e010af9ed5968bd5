"""The limits of an organisation's usage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from billing.errors import InvalidRequestError
from billing.thresholds.keeping import replace_thresholds, thresholds_of
from operations.organizations import check_is_known
from operations.output import table_of
from operations.session import session_of


def thresholds(
    context: typer.Context,
    organization: Annotated[str, typer.Argument(help="The organisation's id.")],
    wanted: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METER=N,N", help="A meter's limits, each a number a billing period."),
    ] = None,
    removed: Annotated[list[str] | None, typer.Option("--remove", metavar="METER", help="A meter's limits.")] = None,
) -> None:
    """Show the limits of an organisation's usage, or set and remove them; the product hears when one is reached."""
    session = session_of(context)
    check_is_known(organization)
    limits: dict[str, Sequence[int]] = dict(thresholds_of(organization))
    if wanted or removed:
        try:
            changed = limits | dict(map(_read, wanted or ())) | {name: () for name in removed or ()}
            limits = dict(replace_thresholds(organization, changed))
        except InvalidRequestError as error:
            raise typer.BadParameter(str(error)) from None
    session.show({"organization_id": organization, "thresholds": limits}, _table(limits))


def _read(text: str) -> tuple[str, list[int]]:
    name, _, numbers = text.partition("=")
    try:
        return name, [int(number) for number in numbers.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not like temperature_readings=1000,5000", param_hint="--set") from None


def _table(limits: Mapping[str, Sequence[int]]) -> object:
    if not limits:
        return "It has no limits."
    rows = [(name, ", ".join(f"{number:,}" for number in numbers)) for name, numbers in limits.items()]
    return table_of(["Meter", "Limits a billing period"], rows)
