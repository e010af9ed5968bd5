"""Print a queue's message whose usage was taken a minute ago: an event that was saved is one day too old.

python -m programs.local.usage_message events/usage_ingestion/event.json | sam local invoke … --event -
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from billing import clock

# What the files have as `time`.
SAVED_TIME = "2026-11-23T07:10:00Z"


def usage_message(path: Path, now: datetime) -> dict[str, Any]:
    """Return what Lambda hands to the function, with usage of a minute before `now`."""
    text = path.read_text(encoding="utf-8").replace(SAVED_TIME, clock.format_time(now - timedelta(minutes=1)))
    event: dict[str, Any] = json.loads(text)
    return event


def main() -> None:
    """Print the message of a file with usage that was taken a minute ago."""
    parser = argparse.ArgumentParser(prog="python -m programs.local.usage_message", description=main.__doc__)
    parser.add_argument("event", type=Path, help="events/usage_ingestion/….json")
    print(json.dumps(usage_message(parser.parse_args().event, clock.from_unix(time.time()))))


if __name__ == "__main__":
    main()
