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

from tests.metering.story import Ending, Fault, Story, faults_for

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

TRANSPORTS = ("single", "stream")
MOST_RECENT = ("arrival", "timestamp")
SAMPLED = 15
# Enough to see what is wrong.
MOST_DIFFERING = 20
# A telling takes a quarter of a second; the profile's own number is 50, and 2,000 in the deep form.
EXAMPLES = settings.get_profile(settings.get_current_profile_name()).max_examples // 3


@dataclass(frozen=True)
class Case:
    """Name one telling of a story."""

    transport: str
    most_recent: str
    fault: Fault
    call: str


@dataclass
class Explorer:
    """Tell stories case by case, and keep count."""

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
        kinds: Callable[[str], Sequence[str]] = faults_for,
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


def quick(cases: Sequence[Case], always: Sequence[str], sampled: int) -> list[Case]:
    """Return some kinds of fault for every call, and a fixed sample of the rest."""
    chosen = [case for case in cases if case.fault.kind in always and case.most_recent == reading_for(case.fault)]
    rest = [case for case in cases if case.fault.kind not in always]
    return chosen + random.Random(4).sample(rest, min(sampled, len(rest)))


def reading_for(fault: Fault) -> str:
    """Return the reading of "most recent" under which a fault is the more dangerous one; for others both in turn."""
    if fault.kind.startswith("overlap:"):
        return "arrival"  # an older total may come last
    if fault.kind.startswith("between:"):
        return "timestamp"  # a newer total may have an older second
    return MOST_RECENT[fault.call % 2]


def racing(*kinds: str) -> Callable[[str], Sequence[str]]:
    """Return the crashes and those of these faults that a call can meet."""
    return lambda call: ("crash_before", "crash_after", *(kind for kind in kinds if can_meet(call, kind)))


def can_meet(call: str, kind: str) -> bool:
    """Say whether a call can meet a kind of fault; what others do meanwhile every call can."""
    return ":" in kind or kind in faults_for(call)


def test_the_story_ends_exactly_when_nothing_fails(explorer: Explorer) -> None:
    for transport in TRANSPORTS:
        for most_recent in MOST_RECENT:
            ending = explorer.tell(Story.usual, transport, most_recent)

            assert ending.is_exact, ending
            assert (ending.recovery_runs, ending.repairs) == (0, 0)


def test_stripe_counts_what_was_counted_when_any_call_fails(explorer: Explorer, request: pytest.FixtureRequest) -> None:
    racing_kinds = ("crash_after", "overlap:+1", "count:+1", "between:+1+1-2")
    explorer.explore(Story.usual, quick(explorer.cases(Story.usual, transports=["stream"]), racing_kinds, SAMPLED))
    explorer.explore(Story.usual, quick(explorer.cases(Story.usual, transports=["single"]), ["crash_after"], SAMPLED))
    explorer.conclude("one fault", request)


def test_an_hour_is_billed_when_its_customer_is_linked_while_any_call_fails(
    explorer: Explorer, request: pytest.FixtureRequest
) -> None:
    cases = explorer.cases(Story.linked_late, racing("link:", "overlap:+1"), ["stream"])
    before_the_webhook = [case for case in cases if case.fault.call <= 12]
    explorer.explore(Story.linked_late, quick(before_the_webhook, ["link:"], 15))
    explorer.conclude("linking", request)


def test_tampered_hours_are_repaired_when_a_comparison_and_a_run_race(
    explorer: Explorer, request: pytest.FixtureRequest
) -> None:
    cases = explorer.cases(Story.tampered, racing("compare:", "overlap:+1-1", "overlap:+1"), ["stream"])
    explorer.explore(Story.tampered, quick(cases, ["compare:"], 20), repairs=2)
    explorer.conclude("repairing", request)


several_faults = st.lists(
    st.builds(Fault, st.integers(1, 60), st.integers(0, 59).map("any:{}".format)),
    min_size=2,
    max_size=6,
    unique_by=lambda fault: fault.call,
)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several_faults, st.sampled_from(TRANSPORTS), st.sampled_from(MOST_RECENT))
def test_stripe_counts_what_was_counted_when_several_calls_fail(
    explorer: Explorer, faults: list[Fault], transport: str, most_recent: str
) -> None:
    ending = explorer.tell(Story.usual, transport, most_recent, faults)

    assert ending.is_exact, ending
    assert ending.repairs == 0


@pytest.mark.deep
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_stripe_counts_what_was_counted_in_every_case_there_is(
    explorer: Explorer, transport: str, request: pytest.FixtureRequest
) -> None:
    explorer.explore(Story.usual, explorer.cases(Story.usual, transports=[transport]))
    explorer.conclude(f"every fault, {transport}", request)


@pytest.mark.deep
def test_linking_and_repairing_end_exactly_in_every_case_there_is(
    explorer: Explorer, request: pytest.FixtureRequest
) -> None:
    linking = racing("link:", "overlap:+1", "count:+1", "lost", "retried", "http_500")
    repairing = racing("compare:", "overlap:+1-1", "between:+1+1-2", "count:+1", "lost", "retried", "http_500")
    explorer.explore(Story.linked_late, explorer.cases(Story.linked_late, linking, ["stream"]))
    explorer.explore(Story.tampered, explorer.cases(Story.tampered, repairing, ["stream"]), repairs=2)
    explorer.conclude("every linking and repairing", request)
