"""The operator's command line: look at the backlog, put it back, compare, replay, refresh, provision."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException
from rich.console import Console

from billing import telemetry
from billing.errors import BillingError
from operations import connection
from operations.commands.backlog import due, requeue_refused, status
from operations.commands.periods import periods
from operations.commands.provision import provision
from operations.commands.reconcile import reconcile
from operations.commands.refresh import refresh
from operations.commands.replay import replay_events
from operations.commands.usage import usage
from operations.session import Session

app = typer.Typer(
    name="operate",
    help="Operate the usage billing stack. Without --stack the environment says which tables and which Stripe key.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order in which `--help` lists them.
for command in (status, due, requeue_refused, reconcile, replay_events, refresh, usage, periods, provision):
    app.command()(command)


@app.callback()
def options(
    context: typer.Context,
    stack: Annotated[str | None, typer.Option(help="The CloudFormation stack to operate.", envvar="STACK")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the code's own log.")] = False,
) -> None:
    """Read the options that hold for every command."""
    telemetry.logger.setLevel(logging.INFO if verbose else logging.CRITICAL)
    for handler in telemetry.logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.stderr
    session = Session(stack, as_json, connection.use_stack(stack) if stack else {}, Console(), Console(stderr=True))
    if stack:
        # Not where programs read: whoever takes one stack for another has to see it.
        session.err.print(f"{stack} in {connection.aws_client('cloudformation').meta.region_name}", highlight=False)
    context.obj = session


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an error of ours or of a service is one line, without a trace."""
    try:
        app(None if arguments is None else list(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except (BillingError, BotoCoreError, ClientError, PynamoDBException) as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False)
        return 1
    return 0
