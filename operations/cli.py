"""The operator's command line: look at the backlog, put it back, compare, replay, refresh, provision."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.rich_utils import rich_format_error

from billing import telemetry
from operations import connection
from operations.commands.backlog import due, requeue_refused, status
from operations.commands.doctor import doctor
from operations.commands.explain import explain
from operations.commands.export import export
from operations.commands.import_usage import import_usage
from operations.commands.organizations import organizations
from operations.commands.periods import periods
from operations.commands.provision import provision
from operations.commands.reconcile import reconcile
from operations.commands.refresh import refresh
from operations.commands.rejected import rejected
from operations.commands.replay import replay_events
from operations.commands.tell import tell
from operations.commands.thresholds import thresholds
from operations.commands.usage import usage
from operations.session import FAILED, FAILURES, INTERRUPTED, Session, session_of

HELP = """Operate the usage billing stack. Without --stack the environment says which tables and which Stripe key.

Exit codes: 0 success; 1 failure, of a part of the work too; 2 wrong usage; 3 doctor: something is
unknown; 130 after ^C; 141 the reader went away.
"""

app = typer.Typer(
    name="operate",
    help=HELP,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # a paragraph's lines are filled
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order in which `--help` lists them.
for command in (
    status,
    doctor,
    organizations,
    usage,
    periods,
    explain,
    export,
    due,
    requeue_refused,
    rejected,
    import_usage,
    reconcile,
    replay_events,
    refresh,
    tell,
    thresholds,
    provision,
):
    app.command("import" if command is import_usage else None)(command)


@app.callback()
def options(
    context: typer.Context,
    stack: Annotated[str | None, typer.Option(help="The CloudFormation stack to operate.", envvar="STACK")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, errors too; also behind the command.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the code's own log.")] = False,
) -> None:
    """Read the options that hold for every command; `main` has read --json."""
    telemetry.logger.setLevel(logging.INFO if verbose else logging.CRITICAL)
    for handler in telemetry.logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.stderr
    session = session_of(context)
    session.stack = stack
    session.outputs = connection.use_stack(stack) if stack else {}
    if stack:
        # Not where programs read: whoever takes one stack for another has to see it.
        session.err.print(f"{stack} in {connection.aws_client('cloudformation').meta.region_name}", highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an error of ours or of a service is one line, without a trace."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Before all else: what is wrong with the other words is told as JSON too.
    session = Session(as_json="--json" in words[: words.index("--") if "--" in words else None])
    if session.as_json:
        words.remove("--json")
    try:
        code: Any = app(
            words or ([] if session.as_json else ["--help"]), standalone_mode=False, prog_name="operate", obj=session
        )
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except typer.TyperException as error:
        if session.as_json:
            session.tell("UsageError", error.format_message())
        else:
            rich_format_error(error)  # type: ignore[arg-type]  # a `ClickException`, which Typer keeps to itself
        return error.exit_code
    except FAILURES as error:
        session.tell(type(error).__name__, str(error))
        return FAILED
    except Exception as error:
        # A defect: with its trace, and for programs as any other error.
        if session.as_json:
            session.tell(type(error).__name__, str(error))
        raise
    if code == INTERRUPTED and session.interruption is None:
        session.tell("Interrupted", "by ^C")
    return code or 0
