"""What the nightly comparisons found, and what is left undone at the end."""

from __future__ import annotations

from collections import Counter

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
    say(f"Hours left due: {len(passage.stack.due_hours())}.")


def faults_of(passage: Passage) -> list[str]:
    """Return what is wrong beside the invoices: hours left due, periods left open, what the comparisons found."""
    compared = passage.compared
    faults = [f"the hour {hour} of {name} is left due" for name, hour in passage.stack.due_hours()]
    for name, organization in passage.organizations.items():
        settled = {period.span.starts_at for period in read_periods(name) if period.is_settled}
        faults += [
            f"the period of {name} from {start:%d %b} is not settled"
            for start in organization.starts
            if start not in settled
        ]
    if not compared["hours"] or compared["drift_events"] or compared["failures"]:
        faults.append(f"the nightly comparisons found: {dict(compared)}")
    queue = passage.queue
    if queue.counted != queue.sent:
        faults.append(f"{queue.sent} usage events were sent, and {queue.counted} counted")
    faults += [f"the simulator does not know {request}" for request in passage.stack.simulator.requests.unknown]
    return faults
