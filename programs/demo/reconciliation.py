"""What the nightly comparisons found, and what is left undone at the end."""

from __future__ import annotations

from collections import Counter

from billing import clock
from billing.invoices.storage import read_periods
from programs.demo.passage import Passage


def say_comparisons(passage: Passage) -> None:
    """Print the figures of the nightly comparisons, and what became of all billing periods."""
    say, compared = passage.say, passage.compared
    hours = f"{compared['hours']} hours compared with Stripe's meters, {compared['drift_events']} differ"
    say(f"\nReconciliation, {compared['nights']} nights: {hours}.")
    states = Counter(period.state for name in passage.organizations for period in read_periods(name))
    figures = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    say(f"Periods: {figures}. Stripe was asked for invoices {compared['periods_asked_for']} times.")


def faults_of(passage: Passage) -> list[str]:
    """Return what is wrong beside the invoices: hours left due, periods left open, what the comparisons found."""
    now, compared = clock.utc_now(), passage.compared
    faults = [f"{name}'s hour {hour} is left due" for name, hour in passage.stack.due_hours()]
    for name in passage.organizations:
        for period in read_periods(name):
            if period.span.has_ended(now) and not period.is_settled:
                faults.append(f"{name}'s period from {period.span.starts_at} has ended and is {period.state}")
    if not compared["hours"] or compared["drift_events"] or compared["failures"]:
        faults.append(f"the nightly comparisons found: {dict(compared)}")
    faults += [f"the simulator does not know {request}" for request in passage.stack.simulator.requests.unknown]
    return faults
