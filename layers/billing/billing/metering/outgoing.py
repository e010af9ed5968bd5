"""A declared hour on its way to Stripe, and in which order hours go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from billing.errors import UnavailableError
from billing.metering.hour import Declaration, MeterEvent, Refusal
from billing.metering.sending import Outcome
from billing.meters import LAST_METERS


@dataclass(slots=True)
class Outgoing:
    """A declared hour, its events, and what became of those that were sent already."""

    declaration: Declaration
    events: Sequence[MeterEvent]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def refusal(self) -> Refusal | None:
        """Return why Stripe refuses the hour, naming the meter; None where it does not."""
        first = next(iter(self.refusals.items()), None)
        return Refusal(first[1].code, f"{first[0]}: {first[1].message}") if first else None

    @property
    def refusals(self) -> dict[str, Refusal]:
        """Return the refusals by meter."""
        return {name: outcome for name, outcome in self.outcomes.items() if isinstance(outcome, Refusal)}

    @property
    def is_certain(self) -> bool:
        """Say whether no attempt without a response came before a refusal."""
        return all(refusal.is_certain for refusal in self.refusals.values())

    @property
    def meters(self) -> frozenset[str]:
        """Return the meters that Stripe is told of."""
        return frozenset(event.event_name for event in self.events)

    @property
    def problem(self) -> UnavailableError | None:
        """Return why Stripe may not have been told; None where it responded to every event."""
        return next((outcome for outcome in self.outcomes.values() if isinstance(outcome, UnavailableError)), None)


def in_rounds(
    events: Sequence[tuple[MeterEvent, Outgoing]], events_a_call: int
) -> list[list[tuple[MeterEvent, Outgoing]]]:
    """Cut events into rounds, in each of which an organisation's `last` meter stands once: what is older goes first.

    The calls of a round are made side by side, and may arrive in any order. Events of other meters go anywhere: they
    fill the last call of each round.
    """
    rounds: list[list[tuple[MeterEvent, Outgoing]]] = []
    anywhere: list[tuple[MeterEvent, Outgoing]] = []
    earlier: Counter[tuple[str, str]] = Counter()
    for event, outgoing in events:
        if event.event_name not in LAST_METERS:
            anywhere.append((event, outgoing))
            continue
        key = outgoing.declaration.hour.organization_id, event.event_name
        if earlier[key] == len(rounds):
            rounds.append([])
        rounds[earlier[key]].append((event, outgoing))
        earlier[key] += 1
    for each in rounds:
        missing = -len(each) % events_a_call
        each += anywhere[:missing]
        del anywhere[:missing]
    return [*rounds, anywhere] if anywhere else rounds
