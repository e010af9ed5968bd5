"""Invoke a built function once in a container of its own: `sam local invoke`, with all that it needs.

python -m programs.local.invoke UsageMeteringFunction events/usage_metering/scheduled.json

A webhook's event is signed now, since one that was saved signed is soon too old; usage is of a minute ago.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from billing import clock
from programs.local import environment, sam
from programs.local.servers import event_body, secret_of
from programs.local.usage_message import usage_message
from programs.local.webhook_event import http_event
from stripe_simulator import sign


class CannotInvokeError(Exception):
    """The function cannot be invoked; the message says why and what to do."""


def main() -> int:
    """Invoke a function with an event file; return 2 where the file is none, 1 where something else is missing."""
    parser = argparse.ArgumentParser(prog="python -m programs.local.invoke", description=main.__doc__)
    parser.add_argument("function", help="its logical id, for instance UsageMeteringFunction")
    parser.add_argument("event", help="events/….json")
    arguments, sam_options = parser.parse_known_args()
    try:
        event = _event(arguments.function, arguments.event)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        sam.check()
        options = sam_options if "--env-vars" in sam_options else [*_options(), *sam_options]
    except (CannotInvokeError, environment.NotRunningError, sam.SamUnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    command = [str(sam.SAM), "local", "invoke", arguments.function, "--event", "-", *options]
    return subprocess.run(command, input=json.dumps(event), text=True, cwd=environment.ROOT).returncode


def _event(function: str, name: str) -> dict[str, Any]:
    """Return the event of a file, fresh where it would be too old.

    Raises:
        ValueError: there is no such file, or it is not JSON.
    """
    path = Path(name)
    if not path.is_file():
        wanted = {"StripeWebhookFunction": "stripe", "UsageIngestionFunction": "usage_ingestion"}.get(function, "*")
        known = sorted(str(path.relative_to(environment.ROOT)) for path in environment.ROOT.glob(f"events/{wanted}/*"))
        said = f"There is no file {name}." if name else "EVENT is missing: which event?"
        raise ValueError("\n  ".join([f"{said} There are:", *known]))
    try:
        if function == "StripeWebhookFunction":
            body = event_body(path, int(time.time()))
            return http_event(body, sign(body, secret_of(body)))
        if function == "UsageIngestionFunction":
            return usage_message(path, clock.utc_now())
        event: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError) as error:
        raise ValueError(f"{name} is no event for {function}: {error!r}") from error
    return event


def _options() -> list[str]:
    """Return the options that reach the servers.

    Raises:
        CannotInvokeError: they listen for this machine alone.
        NotRunningError: there are none.
    """
    environment.connect()
    if not environment.is_reached_by_containers():
        raise CannotInvokeError(
            "Containers do not reach this `make local`: end it, and start it with `make local SAM=1`."
        )
    return sam.options(environment.folder() / "containers.json")


if __name__ == "__main__":
    sys.exit(main())
