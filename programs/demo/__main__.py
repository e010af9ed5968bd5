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


def say(text: str = "") -> None:
    """Print a line for the reader; what the functions log goes to a file."""
    print(text, file=sys.__stdout__, flush=True)


def main() -> int:
    """Live through the story, compare, and leave a picture and the log."""
    started = time.monotonic()
    BUILD.mkdir(parents=True, exist_ok=True)
    os.environ |= {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_DEFAULT_REGION": "eu-central-1"}
    os.environ["HOLD_ACTIVE_SENSORS"] = "true"
    with (
        (BUILD / "functions.log").open("w") as log,
        redirect_stdout(log),
        dynamodb_local.running_dynamodb_local() as dynamodb,
        running_simulator() as simulator,
    ):
        tables.create_tables(tables.client_for(dynamodb.endpoint))
        # Imported here, so that the functions' logger writes to the file.
        from programs.demo.outcome import conclude, lines_of
        from programs.demo.story import BEGINNING, Story
        from programs.local.stack import running_stack

        secrets_file = BUILD / "stripe-secrets.json"
        secrets_file.unlink(missing_ok=True)
        with running_stack(simulator, dynamodb.endpoint, start=BEGINNING, secrets_file=secrets_file) as stack:
            story = Story(stack, say)
            story.live()
            code = conclude(lines_of(stack, story.passage.organizations.values()), [], say)
            say(f"{stack.due_hours()} {story.passage.compared} {simulator.requests.unknown}")
    say(f"{time.monotonic() - started:.0f} seconds.")
    return code


if __name__ == "__main__":
    sys.exit(main())
