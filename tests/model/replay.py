"""The model and the real code side by side: every step of the model is made by real runs, on DynamoDB and a Stripe."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billing import clock
from billing.metering.plan import parse_identifier
from billing.tables.usage import UsageRecord, make_unreported_due
from programs.model import steps
from programs.model.bounds import Bounds
from programs.model.rules import NAMES, Rules
from programs.model.state import LIFETIME, NOT_THERE, TICK, Item, Sender, State, Totals
from tests.metering.one_hour import HOUR, OneHour
from tests.support.faults import NoResponse
from tests.support.interleaving import Process, step_of

STEPS = ("declare", "send", "settle")
RULES = Rules()
MOST_LOST = 3


@dataclass
class Replay:
    """A state of the model, and the real hour in it. `told` are the steps so far, for whoever has to find a difference.

    A method is a step, made on both sides.
    """

    hour: OneHour
    bounds: Bounds
    state: State
    told: list[str] = field(default_factory=list)
    _processes: dict[int, Process] = field(default_factory=dict)
    _compared: UsageRecord | None = None

    @classmethod
    def begun(cls, hour: OneHour, bounds: Bounds) -> Replay:
        """Count the hour for the first time."""
        replay = cls(hour, bounds, bounds.start())
        hour.count(**dict(zip(NAMES, replay.state.item.counts, strict=False)))
        return replay

    def _take(self, step: steps.Step) -> None:
        self.told.append(str(step))
        self.state = step.state

    # --- the steps

    def correct(self, meter: int, value: int) -> None:
        self._take(steps.corrected(self.state, meter, value))
        self.hour.count(**{NAMES[meter]: value})

    def wait(self) -> None:
        """Let a tick pass; whose lifetime ends by then is killed, as AWS Lambda does."""
        self._take(steps.Step(steps.after_a_tick(self.state), "a tick passes"))
        living = {sender.name for sender in self.state.senders}
        for name in self._processes.keys() - living:
            self._processes.pop(name).kill()
        self.hour.stack.advance(seconds=TICK.total_seconds())

    def start(self) -> None:
        self._take(steps.started(self.state, RULES, self.bounds))
        process = self.hour.run()
        _run_to_a_step(process)
        self._processes[self.state.started] = process

    def declare(self, sender: Sender) -> None:
        expected = "declare" if sender.events else "settle"
        assert self._pending(sender) == expected
        if sender.events:
            self._take(steps.declared(self.state, sender, RULES))
        else:
            self._take(steps.settled_unsent(self.state, sender, RULES))
        self._step(sender)

    def accept(self, sender: Sender, *, drops: bool = False) -> None:
        meters = self._next_events(sender)
        before = set(self._events_at_stripe())
        self._take(steps.accepted(self.state, sender, meters, drops=drops))
        self._send(sender)
        for identifier, event in self._events_at_stripe().items():
            if drops and identifier not in before:
                event.cancelled = True

    def lose_response(self, sender: Sender, *, has_effect: bool) -> None:
        meters = self._next_events(sender)
        is_new = not {(meter, sender.revision, sender.counts[meter]) for meter in meters} <= self.state.stripe.seen
        if has_effect:
            self._take(steps.accepted_without_response(self.state, sender, meters, marks=True))
        else:
            lost = sender._replace(lost=tuple(sorted({*sender.lost, *meters})))
            senders = tuple(lost if each is sender else each for each in self.state.senders)
            self._take(steps.Step(self.state._replace(senders=senders), "sender {} loses a request", (sender.name,)))
        # What Stripe has seen has no effect; the call would raise that it is a duplicate.
        self._send(sender, NoResponse(has_effect and is_new))

    def refuse(self, sender: Sender) -> None:
        self._take(steps.refused(self.state, sender, self._next_events(sender)))
        faults = self.hour.stack.simulator.faults
        faults.add("http_400")
        self._processes[sender.name].step()
        faults.clear()
        _run_to_a_step(self._processes[sender.name])

    def conclude(self, sender: Sender) -> None:
        self._take(steps.concluded(self.state, sender, RULES))
        if self._pending(sender) is None:
            # It knew that it may write nothing.
            del self._processes[sender.name]
        else:
            assert self._pending(sender) == "settle"
            self._step(sender)

    def die(self, sender: Sender) -> None:
        senders = tuple(each for each in self.state.senders if each is not sender)
        self._take(steps.Step(self.state._replace(senders=senders), "sender {} dies", (sender.name,)))
        self._processes.pop(sender.name).kill()

    def write_and_die(self, sender: Sender) -> None:
        """Let a sender's write be done, and its response be lost: it does nothing more."""
        process = self._processes[sender.name]
        if sender.is_declared:
            self._take(steps.concluded(self.state, sender, RULES))
        else:
            self._take(steps.declared(self.state, sender, RULES))
            senders = tuple(each for each in self.state.senders if each.name != sender.name)
            self.state = self.state._replace(senders=senders)
        self.told[-1] += ", and loses the response"
        if process.pending is not None:
            process.step(NoResponse(has_effect=True))
            process.finish()
        del self._processes[sender.name]

    def compare(self) -> None:
        """Let a comparison read the hour, or write what it found."""
        if self._compared is None:
            left = self.state.left._replace(comparisons=self.state.left.comparisons - 1)
            after = self.state._replace(comparing=self.state.item.version, left=left)
            self._take(steps.Step(after, "a comparison reads the hour"))
            self._compared = self.hour.item
        else:
            self._take(steps.compared(self.state, RULES))
            make_unreported_due(self._compared)
            self._compared = None

    # --- the real processes

    def _pending(self, sender: Sender) -> str | None:
        call = self._processes[sender.name].pending
        return step_of(call) if call is not None else None

    def _next_events(self, sender: Sender) -> tuple[int, ...]:
        assert self._pending(sender) == "send"
        return sender.events if self.bounds.stream else sender.events[:1]

    def _send(self, sender: Sender, disturbance: NoResponse | None = None) -> None:
        process = self._processes[sender.name]
        process.step(disturbance)
        _run_to_a_step(process)

    def _step(self, sender: Sender) -> None:
        """Let a sender make its write, and look where it stands: a sender that the model has ended may have none."""
        process = self._processes[sender.name]
        process.step()
        _run_to_a_step(process)
        if sender.name not in {each.name for each in self.state.senders}:
            assert process.pending is None, "the model has ended it"
            del self._processes[sender.name]

    # --- what came of it

    def assert_is_the_same(self) -> None:
        """Assert that the real item and the real Stripe are as in the model."""
        told = "\n".join(self.told)
        item = self.state.item
        # That something ended just now, and that it is not there, mean the same.
        expected = item._replace(others=item.others or NOT_THERE)
        assert self._real_item() == expected, told
        assert self._real_counts("arrival") == tuple(each.by_arrival for each in self.state.stripe.counted), told
        assert self._real_counts("timestamp") == tuple(each.by_timestamp for each in self.state.stripe.counted), told
        assert self._events_at_stripe().keys() == self.state.stripe.seen, told

    def _real_item(self) -> Item:
        item = self.hour.item
        others = _ticks_to(item.others_until)
        return Item(
            counts=tuple(int(item.counted(name) or 0) for name in self._names),
            due=item.due_at is not None,
            version=int(item.version or 0),
            revision=int(item.revision or 0),
            sending=self._totals(item.sending),
            since=min(LIFETIME, -_ticks(item.sending_since)) if item.sending_since else NOT_THERE,
            doubt=_ticks_to(item.doubt_until),
            others=others or NOT_THERE,
            reported=self._totals(item.reported),
            refused=item.refused is not None,
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return NAMES[: len(self.bounds.values)]

    def _totals(self, attribute: Any) -> Totals:
        if not attribute:
            return ()
        return tuple(int(attribute.get(name, NOT_THERE)) for name in self._names)

    def _real_counts(self, most_recent: str) -> tuple[int, ...]:
        self.hour.stack.simulator.settings.update({"most_recent": most_recent})
        return tuple(self.hour.at_stripe(name) for name in self._names)

    def _events_at_stripe(self) -> dict[tuple[int, int, int], Any]:
        """Return every event that Stripe has taken, by the model's identifiers."""
        account = self.hour.stack.simulator.account
        (customer_id,) = self.hour.stack.customers["acme"]
        events = {}
        for meter, name in enumerate(self._names):
            for event in account.meter_events.all(customer_id, name):
                named = parse_identifier(event.identifier)
                assert named is not None
                assert event.timestamp == HOUR.timestamp() + named.revision
                events[meter, named.revision, event.value] = event
        return events


def _run_to_a_step(process: Process) -> None:
    """Let a process make the calls that the model does not tell apart."""
    while process.pending is not None and step_of(process.pending) not in STEPS:
        process.step()


def _ticks(moment: datetime) -> int:
    return round((moment - clock.utc_now()) / TICK)


def _ticks_to(moment: datetime | None) -> int:
    return max(0, _ticks(moment)) if moment is not None else NOT_THERE
