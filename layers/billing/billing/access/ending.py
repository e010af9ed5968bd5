"""What time alone changes: an access that has ended is written into its record, whose stream tells of it.

Whoever asks gets the right answer without this: it is computed when it is asked for. This is for those who are told.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from billing.access.reading import access_of
from billing.access.rule import STATES
from billing.tables.subscriptions import SubscriptionRecord, access_ended, set_access
from billing.telemetry import count


def write_ended_access(now: datetime, may_continue: Callable[[], bool]) -> int:
    """Write who may use the service into the records whose access has ended by now; return how many there were.

    It reads those records and no others. Where a webhook writes one at the same moment, that write is as good: it
    computes the access anew.
    """
    written = 0
    for state in STATES:
        for organization_id in access_ended(state, now):
            if not may_continue():
                return written
            written += _write(organization_id, now)
    count("accesses_ended", written)
    return written


def _write(organization_id: str, now: datetime) -> bool:
    record = SubscriptionRecord.of(organization_id, consistent=True)
    if record is None:
        return False
    access = access_of(record, now)
    if (record.access, record.access_reason, record.access_until) == (access.state, access.reason, access.until):
        return False
    return set_access(record, access.state, access.reason, access.until, now)
