"""Every call of the function fails in every way, once and several times; afterwards each event is counted once.

`story.py` tells what arrives. The quick form tries every single fault, and a fixed sample of two at once; the deep
form many of these, and more at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from unittest.mock import MagicMock

import pytest

from billing.ingestion import counting, invocation
from tests.ingestion.arriving import Ingestion
from tests.ingestion.story import Fault, Story, each_case

# Enough to see what is wrong.
MOST_DIFFERING = 20
DEEP_PAIRS, DEEP_SERIES = 3000, 1500


@pytest.fixture
def story(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    # Thousands of log lines and metrics would cost more than the story.
    monkeypatch.setattr(invocation, "count", MagicMock())
    for module in (counting, invocation):
        monkeypatch.setattr(module, "logger", MagicMock())
    with Story(ingestion).instrumented(monkeypatch) as telling:
        yield telling


def explore(story: Story, cases: Sequence[Sequence[Fault]], title: str, request: pytest.FixtureRequest) -> None:
    """Tell the story of every case; say how many ran and how many differed, and fail where one did."""
    differing: list[str] = []
    told = 0
    for faults in cases:
        differences = story.tell(faults)
        assert story.disturbed or not faults, faults
        told += 1
        if differences:
            differing.append(f"{faults}: {differences}")
        if len(differing) == MOST_DIFFERING:
            break
    request.node.user_properties.append(
        ("exploration", f"usage that arrives, {title}: {told} cases, {len(differing)} differed")
    )
    assert not differing, "\n".join(differing)


def test_every_event_is_counted_once_when_nothing_fails(story: Story) -> None:
    assert story.tell() == []
    assert len(story.calls) > 15


def test_every_event_is_counted_once_when_any_call_fails(story: Story, request: pytest.FixtureRequest) -> None:
    story.tell()
    explore(story, [[fault] for fault in each_case(story.calls)], "one fault", request)


@pytest.mark.parametrize("sampled", [60, pytest.param(DEEP_PAIRS, marks=pytest.mark.deep)])
def test_every_event_is_counted_once_when_two_calls_fail(
    story: Story, sampled: int, request: pytest.FixtureRequest
) -> None:
    story.tell()
    singles = each_case(story.calls)
    pairs = [(one, other) for one in singles for other in singles if one[0] < other[0]]
    cases = random.Random(16).sample(pairs, min(sampled, len(pairs)))
    explore(story, cases, f"two faults, {len(pairs)} there are", request)


@pytest.mark.deep
def test_every_event_is_counted_once_when_many_calls_fail(story: Story, request: pytest.FixtureRequest) -> None:
    story.tell()
    choice = random.Random(17)
    # The story grows with its faults: some are beyond its undisturbed end.
    singles = each_case([*story.calls, *story.calls])
    cases = [list(dict(choice.sample(singles, choice.randint(3, 9))).items()) for _ in range(DEEP_SERIES)]
    cases = [case if any(number <= len(story.calls) for number, _ in case) else [singles[0], *case] for case in cases]
    explore(story, cases, "three to nine faults", request)
