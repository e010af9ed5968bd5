"""Every call of the system fails in every way, once and several times; afterwards Stripe counts what was counted.

`story.py` tells what happens and what can be made to fail. The quick form lets the process die after every call, and
lets counts change and whole runs come between before every call; of all other cases it takes a fixed sample, and
`make test-deep` all of them.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metering.ending import Ending
from tests.metering.meanwhile import Compared, Corrected, Linked, Meanwhile, Overlapped
from tests.metering.scripts import linked_late, tampered, usual
from tests.metering.story import AnyFault, Fault, Kind, Story, faults_for
from tests.support.calls import Disturbance
from tests.support.faults import CRASHES, AtStripe, CrashAfter, NoResponse, Retried

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

TRANSPORTS = ("single", "stream")
MOST_RECENT = ("arrival", "timestamp")
SAMPLED = 15
# Enough to see what is wrong.
MOST_DIFFERING = 20
# A telling takes a quarter of a second; the profile's own number is 50, and 2,000 in the deep form.
UNCERTAIN = (NoResponse(has_effect=True), Retried(), AtStripe("http_500"))
EXAMPLES = settings.get_profile(settings.get_current_profile_name()).max_examples // 3


@dataclass(frozen=True)
class Case:
    """One telling of a story."""

    transport: str
    most_recent: str
    fault: Fault
    call: str


@dataclass
class Explorer:
    """Stories told case by case, and how they ended."""

    story: Story
    monkeypatch: pytest.MonkeyPatch
    told: int = 0
    differing: list[str] = field(default_factory=list)
    most_recoveries: int = 0
    most_repairs: int = 0

    def tell(
        self,
        script: Callable[[Story], None],
        transport: str,
        most_recent: str = "arrival",
        faults: Sequence[Fault] = (),
    ) -> Ending:
        self.monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
        ending = self.story.tell(script, faults, most_recent)
        self.told += 1
        self.most_recoveries = max(self.most_recoveries, ending.recovery_runs)
        self.most_repairs = max(self.most_repairs, ending.repairs)
        return ending

    def explore(self, script: Callable[[Story], None], cases: Sequence[Case], repairs: int = 0) -> None:
        """Tell the story of every case; it has to end exactly, with at most so many repairs by comparison."""
        for case in cases:
            ending = self.tell(script, case.transport, case.most_recent, [case.fault])
            if not ending.is_exact or ending.repairs > repairs:
                self.differing.append(f"{case}: {ending.differences} {ending.due} {ending.drift} {ending.repairs}")
            if len(self.differing) == MOST_DIFFERING:
                break

    def cases(
        self,
        script: Callable[[Story], None],
        kinds: Callable[[str], Sequence[Disturbance | Meanwhile]] = faults_for,
        transports: Sequence[str] = TRANSPORTS,
    ) -> list[Case]:
        """Return a case for each call of the story and each way it can fail, over both transports and readings."""
        return [
            Case(transport, most_recent, Fault(number, kind), call)
            for transport in transports
            for number, call in enumerate(self.tell(script, transport).calls, start=1)
            for kind in kinds(call)
            for most_recent in MOST_RECENT
        ]

    def conclude(self, title: str, request: pytest.FixtureRequest) -> None:
        """Say how many cases ran and how many differed, at the end of the whole test run; fail where one did."""
        text = (
            f"{title}: {self.told} cases, {len(self.differing)} differed; "
            f"at most {self.most_recoveries} runs to recover, {self.most_repairs} repairs"
        )
        request.node.user_properties.append(("exploration", text))
        assert not self.differing, "\n".join(self.differing)


@pytest.fixture
def explorer(stack: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Explorer]:
    # Thousands of log lines and metrics would cost more than the runs.
    for name, module in tuple(sys.modules.items()):
        if name.startswith("billing."):
            for quiet in {"count", "logger"} & vars(module).keys():
                monkeypatch.setattr(module, quiet, MagicMock())
    story = Story(stack, dynamodb)
    with story.instrumented(monkeypatch):
        yield Explorer(story, monkeypatch)


def quick(cases: Sequence[Case], always: Sequence[Kind], sampled: int) -> list[Case]:
    """Return some kinds of fault for every call, and a fixed sample of the rest."""
    chosen = [case for case in cases if case.fault.kind in always and case.most_recent == reading_for(case.fault)]
    rest = [case for case in cases if case.fault.kind not in always]
    return chosen + random.Random(4).sample(rest, min(sampled, len(rest)))


def reading_for(fault: Fault) -> str:
    """Return the reading of "most recent" under which a fault is the more dangerous one; for others both in turn."""
    if isinstance(fault.kind, Overlapped) and fault.kind.but_the_last:
        return "timestamp"  # a newer total may have an older second
    if isinstance(fault.kind, Overlapped) and not fault.kind.minutes:
        return "arrival"  # an older total may come last
    return MOST_RECENT[fault.call % 2]


def racing(*kinds: Disturbance | Meanwhile) -> Callable[[str], Sequence[Disturbance | Meanwhile]]:
    """Return the crashes and those of these faults that a call can meet."""
    return lambda call: (*CRASHES, *(kind for kind in kinds if can_meet(call, kind)))


def can_meet(call: str, kind: Disturbance | Meanwhile) -> bool:
    """Say whether a call can meet a kind of fault; what others do meanwhile every call can."""
    return hasattr(kind, "happen") or kind in faults_for(call)


ONCE, BOTH_WAYS, BETWEEN = Overlapped((1,)), Overlapped((1, -1)), Overlapped((1, 1, -2), but_the_last=True)


def test_the_story_ends_exactly_when_nothing_fails(explorer: Explorer) -> None:
    for transport in TRANSPORTS:
        for most_recent in MOST_RECENT:
            ending = explorer.tell(usual, transport, most_recent)

            assert ending.is_exact, ending
            # One more run: what was sent late is followed by the newest number once more.
            assert (ending.recovery_runs, ending.repairs) == (1, 0)


def test_stripe_counts_what_was_counted_when_any_call_fails(explorer: Explorer, request: pytest.FixtureRequest) -> None:
    racing_kinds = (CrashAfter(), ONCE, Corrected(1), BETWEEN)
    explorer.explore(usual, quick(explorer.cases(usual, transports=["stream"]), racing_kinds, SAMPLED))
    explorer.explore(usual, quick(explorer.cases(usual, transports=["single"]), [CrashAfter()], SAMPLED))
    explorer.conclude("one fault", request)


def test_an_hour_is_billed_when_its_customer_is_linked_while_any_call_fails(
    explorer: Explorer, request: pytest.FixtureRequest
) -> None:
    cases = explorer.cases(linked_late, racing(Linked(), ONCE), ["stream"])
    before_the_webhook = [case for case in cases if case.fault.call <= 12]
    explorer.explore(linked_late, quick(before_the_webhook, [Linked()], 15))
    explorer.conclude("linking", request)


def test_tampered_hours_are_repaired_when_a_comparison_and_a_run_race(
    explorer: Explorer, request: pytest.FixtureRequest
) -> None:
    cases = explorer.cases(tampered, racing(Compared(), BOTH_WAYS, ONCE), ["stream"])
    explorer.explore(tampered, quick(cases, [Compared()], 20), repairs=2)
    explorer.conclude("repairing", request)


several_faults = st.lists(
    st.builds(Fault, st.integers(1, 60), st.builds(AnyFault, st.integers(0, 59))),
    min_size=2,
    max_size=6,
    unique_by=lambda fault: fault.call,
)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several_faults, st.sampled_from(TRANSPORTS), st.sampled_from(MOST_RECENT))
def test_stripe_counts_what_was_counted_when_several_calls_fail(
    explorer: Explorer, faults: list[Fault], transport: str, most_recent: str
) -> None:
    ending = explorer.tell(usual, transport, most_recent, faults)

    assert ending.is_exact, ending
    assert ending.repairs == 0


@pytest.mark.deep
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_stripe_counts_what_was_counted_in_every_case_there_is(
    explorer: Explorer, transport: str, request: pytest.FixtureRequest
) -> None:
    explorer.explore(usual, explorer.cases(usual, transports=[transport]))
    explorer.conclude(f"every fault, {transport}", request)


@pytest.mark.deep
def test_linking_and_repairing_end_exactly_in_every_case_there_is(
    explorer: Explorer, request: pytest.FixtureRequest
) -> None:
    linking = racing(Linked(), ONCE, Corrected(1), *UNCERTAIN)
    repairing = racing(Compared(), BOTH_WAYS, BETWEEN, Corrected(1), *UNCERTAIN)
    explorer.explore(linked_late, explorer.cases(linked_late, linking, ["stream"]))
    explorer.explore(tampered, explorer.cases(tampered, repairing, ["stream"]), repairs=2)
    explorer.conclude("every linking and repairing", request)
