"""Send usage of this moment to the queue of `make local`, as a device does, and wait until it is counted.

python -m programs.local.usage acme temperature_readings 360
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from billing import Usage, UsageEvents, clock
from billing.errors import InvalidUsageError
from billing.tables.usage import UsageRecord
from programs.local.environment import NotRunningError, connect

COUNTED_WITHIN_SECONDS = 30


def main() -> int:
    """Send usage and wait until it is counted."""
    parser = argparse.ArgumentParser(prog="python -m programs.local.usage", description=main.__doc__)
    parser.add_argument("organization", help="for instance acme")
    parser.add_argument("meter", help="for instance temperature_readings")
    parser.add_argument("value", type=int)
    arguments = parser.parse_args()
    try:
        simulator = connect()
        # The time of the stack, which may have been moved.
        now = clock.from_unix(simulator.now())
        clock.utc_now = lambda: now
        usage = Usage(arguments.organization, arguments.meter, arguments.value, now)
        before = _counted(usage)
        UsageEvents(os.environ["USAGE_QUEUE_URL"], source="make local").send(usage)
    except (NotRunningError, InvalidUsageError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Sent: {usage}")
    deadline = time.monotonic() + COUNTED_WITHIN_SECONDS
    while (counted := _counted(usage)) in (None, before):
        # The same number of a `last` meter again changes nothing.
        if counted == usage.value:
            break
        if time.monotonic() > deadline:
            print("It is not counted: ./operate rejected, and the log of `make local`, say why.", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print(f"Counted: {usage.meter} of {clock.format_time(clock.hour_of(now))} is {counted} now.")
    return 0


def _counted(usage: Usage) -> int | None:
    hour = clock.format_time(clock.hour_of(usage.time))
    try:
        record = UsageRecord.get(usage.organization_id, hour, consistent_read=True)
    except UsageRecord.DoesNotExist:
        return None
    counted = record.counted(usage.meter)
    return None if counted is None else int(counted)


if __name__ == "__main__":
    sys.exit(main())
