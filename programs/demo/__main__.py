"""Run the demo; exit with 1 where Stripe's invoice is not what was counted."""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path

from programs.local import dynamodb_local, tables
from stripe_simulator import running_simulator

BUILD = Path("build/demo")


def say(text: str = "") -> None:
    """Print a line for the reader; what the functions log goes to a file."""
    print(text, file=sys.__stdout__, flush=True)


def main() -> int:
    """Live through the day, compare, and leave a picture and the log."""
    started = time.monotonic()
    BUILD.mkdir(parents=True, exist_ok=True)
    os.environ |= {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_DEFAULT_REGION": "eu-central-1"}
    with (
        (BUILD / "functions.log").open("w") as log,
        redirect_stdout(log),
        dynamodb_local.running_dynamodb_local() as dynamodb,
        running_simulator() as simulator,
    ):
        tables.create_tables(tables.client_for(dynamodb.endpoint))
        # Imported here, so that the functions' logger writes to the file.
        from programs.demo.day import DAY, Day
        from programs.demo.outcome import compare
        from programs.demo.picture import draw
        from programs.local.stack import running_stack

        say("A simulated day of real temperature records, through the real handlers:\n")
        secrets_file = BUILD / "stripe-secrets.json"
        secrets_file.unlink(missing_ok=True)
        with running_stack(simulator, dynamodb.endpoint, start=DAY, secrets_file=secrets_file) as stack:
            day = Day(stack, say)
            day.live()
            agree = compare(day, say)
            stack.simulator.clock.advance(timedelta(hours=2).total_seconds())
            comparison = stack.reconcile(start="2026-11-02T00:00:00Z", end="2026-11-03T00:00:00Z")
            say(f"Reconciliation: {comparison['hours']} hours compared, {comparison['drift_events']} differ.")
            agree = agree and comparison["hours"] > 0 and comparison["drift_events"] == 0
            unknown = simulator.requests.unknown
            if unknown:
                say(f"The simulator does not know: {unknown}")
                agree = False
            draw(day, BUILD / "counted-and-billed.png")
    say(f"Picture: {BUILD / 'counted-and-billed.png'}; what the functions logged: {BUILD / 'functions.log'}")
    say(f"{time.monotonic() - started:.0f} seconds.")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
