"""A queue's message whose usage was taken a minute ago: an event that was saved is one day too old."""

from __future__ import annotations

import json
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
