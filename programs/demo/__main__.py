"""Run the demo; exit with 1 where Stripe's invoices are not what was counted."""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

from programs.local import dynamodb_local, tables
from stripe_simulator import running_simulator

BUILD = Path("build/demo")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "LATE_USAGE": "carry",
    "HOLD_ACTIVE_SENSORS": "true",
}


def say(text: str = "") -> None:
    """Print a line for the reader; what the functions log goes to a file."""
    print(text, file=sys.__stdout__, flush=True)


def main() -> int:
    """Tell the story, and leave a picture and the log; say what is missing where there is no DynamoDB Local."""
    started = time.monotonic()
    BUILD.mkdir(parents=True, exist_ok=True)
    os.environ |= ENVIRONMENT
    try:
        with dynamodb_local.running_dynamodb_local() as dynamodb:
            code = _run(dynamodb.endpoint)
    except dynamodb_local.DynamoDBLocalUnavailableError as error:
        say(error.in_two_lines())
        return 1
    say(f"Picture: {BUILD / 'counted-and-billed.png'}")
    say(f"What the functions logged: {BUILD / 'functions.log'}")
    say(f"{time.monotonic() - started:.0f} seconds.")
    return code


def _run(dynamodb_endpoint: str) -> int:
    with (BUILD / "functions.log").open("w") as log, redirect_stdout(log), running_simulator() as simulator:
        tables.create_tables(tables.client_for(dynamodb_endpoint))
        # Imported here, so that the functions' logger writes to the file.
        from programs.demo.passage import Passage
        from programs.demo.story import BEGINNING, make_organizations, tell_story
        from programs.local.stack import running_stack

        secrets_file = BUILD / "stripe-secrets.json"
        secrets_file.unlink(missing_ok=True)
        with running_stack(simulator, dynamodb_endpoint, start=BEGINNING, secrets_file=secrets_file) as stack:
            return tell_story(Passage(stack, make_organizations(), say), BUILD / "counted-and-billed.png")


if __name__ == "__main__":
    sys.exit(main())
