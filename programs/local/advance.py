"""Let time pass for `make local`: for Stripe and the functions together.

python -m programs.local.advance --hours 4
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

from billing import clock
from billing.tables.subscriptions import SubscriptionRecord
from programs.local import delivered
from programs.local.environment import NotRunningError, connect
from stripe_simulator import SimulatorClient


def main() -> int:
    """Move the clock, and show what Stripe told the webhook on the way."""
    parser = argparse.ArgumentParser(prog="python -m programs.local.advance", description=main.__doc__)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--hours", type=float, help="so far")
    how.add_argument("--to-next-hour", action="store_true", help="to five past the next hour, when the schedule fires")
    how.add_argument("--to-period-end", metavar="ORGANIZATION", help="to the moment when its subscription is renewed")
    arguments = parser.parse_args()
    try:
        simulator = connect()
        seconds = _seconds(simulator, arguments)
    except (NotRunningError, LookupError) as error:
        print(error.args[0], file=sys.stderr)
        return 1
    if seconds < 0:
        parser.error("time goes forward only: that moment has been")
    with delivered.shown(simulator):
        simulator.advance_clock(seconds)
        print(f"It is {clock.format_time(clock.from_unix(simulator.now()))}.")
    return 0


def _seconds(simulator: SimulatorClient, arguments: argparse.Namespace) -> float:
    """Return how far the clock is to be moved.

    Raises:
        LookupError: the organisation has no billing period.
    """
    now = clock.from_unix(simulator.now())
    if arguments.hours is not None:
        return float(arguments.hours * 3600)
    if arguments.to_next_hour:
        return (clock.hour_of(now) + clock.HOUR + timedelta(minutes=5) - now).total_seconds()
    record = SubscriptionRecord.of(arguments.to_period_end, consistent=True)
    if record is None or not record.current_period_end:
        raise LookupError(f"{arguments.to_period_end} has no subscription: subscribe it first.")
    return (record.current_period_end - now).total_seconds() + 1


if __name__ == "__main__":
    sys.exit(main())
