"""What the product hears, a line for each event on the bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_a_line(event: Mapping[str, Any]) -> str:
    """Return an event of the bus as a reader sees it: whose, which, and what is so now."""
    detail = event["detail"]
    after = detail.get("after") or {}
    words = [after.get("status"), after.get("access"), after.get("reason"), after.get("until"), detail.get("reason")]
    said = " ".join(word for word in words if word)
    return f"told: {detail['organization_id']} {event['detail-type']} {said}".rstrip()[:71]
