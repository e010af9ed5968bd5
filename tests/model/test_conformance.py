"""Random walks through the model, made by the real code step by step: both know the same after every step."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from programs.model.bounds import Bounds
from programs.model.state import Sender
from tests.metering.one_hour import START, TRANSPORTS, OneHour
from tests.model.replay import MOST_LOST, Replay
from tests.support.interleaving import Interleaving

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

ONE_METER, TWO_METERS = ((5, 6, 7),), ((3, 4, 5), (120, 150))
QUICK_WALKS, DEEP_WALKS = 24, 400
STEPS_OF_A_WALK = 40


@pytest.fixture
def interleaving(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interleaving]:
    with Interleaving(monkeypatch) as interleaving:
        yield interleaving


Choices = dict[Callable[[], None], int]


def choices(replay: Replay, lost: dict[int, int]) -> Choices:
    """Return what may happen next, and how likely it is."""
    found: Choices = {replay.wait: 2}
    for meter, values in enumerate(replay.bounds.values):
        for value in values:
            if value != replay.state.item.counts[meter]:
                found[partial(replay.correct, meter, value)] = 1
    if replay.state.item.due and len(replay.state.senders) < replay.bounds.at_once:
        found[replay.start] = 3
    for sender in replay.state.senders:
        found |= of_sender(replay, sender, lost)
    if replay.state.left.comparisons or replay.state.comparing >= 0:
        found[replay.compare] = 1
    return found


def of_sender(replay: Replay, sender: Sender, lost: dict[int, int]) -> Choices:
    found: Choices = {partial(replay.die, sender): 1}
    if not sender.is_declared:
        found[partial(replay.declare, sender)] = 6
        if sender.events:
            found[partial(replay.write_and_die, sender)] = 1
    elif not sender.events:
        found[partial(replay.conclude, sender)] = 8
        found[partial(replay.write_and_die, sender)] = 1
    else:
        found[partial(replay.accept, sender)] = 6
        if replay.state.left.drops:
            found[partial(replay.accept, sender, drops=True)] = 1
        if not replay.bounds.stream:
            found[partial(replay.refuse, sender)] = 8 if sender.events[0] in sender.lost else 1
        if lost.get(sender.name, 0) < MOST_LOST:
            for has_effect in (True, False):
                found[partial(lose, replay, sender, lost, has_effect)] = 1
    return found


def lose(replay: Replay, sender: Sender, lost: dict[int, int], has_effect: bool) -> None:
    lost[sender.name] = lost.get(sender.name, 0) + 1
    replay.lose_response(sender, has_effect=has_effect)


def walk(hour: OneHour, seed: int, bounds: Bounds) -> Replay:
    """Walk as chance has it."""
    chance, lost = random.Random(seed), dict[int, int]()
    replay = Replay.begun(hour, bounds)
    replay.assert_is_the_same()
    for _ in range(STEPS_OF_A_WALK):
        found = choices(replay, lost)
        chance.choices(list(found), list(found.values()))[0]()
        replay.assert_is_the_same()
    return replay


def assert_conform(
    seed: int, stack: Stack, dynamodb: DynamoDBClient, interleaving: Interleaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    values, transport = chance.choice((ONE_METER, TWO_METERS)), chance.choice(TRANSPORTS)
    bounds = Bounds(
        f"walk {seed}", values, at_once=3, stream=transport == "stream", refusals=True, comparisons=2, drops=1
    )
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    stack.simulator.clock.set(START)
    replay = walk(OneHour(stack, dynamodb, interleaving), seed, bounds)

    assert len(replay.told) == STEPS_OF_A_WALK


@pytest.mark.parametrize("seed", range(QUICK_WALKS))
def test_the_real_code_takes_the_models_steps(
    seed: int, stack: Stack, dynamodb: DynamoDBClient, interleaving: Interleaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_conform(seed, stack, dynamodb, interleaving, monkeypatch)


@pytest.mark.parametrize("has_effect", [False, True])
def test_the_real_code_refuses_nothing_after_a_lost_response_either(
    has_effect: bool,
    stack: Stack,
    dynamodb: DynamoDBClient,
    interleaving: Interleaving,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", "single")
    stack.simulator.clock.set(START)
    replay = Replay.begun(OneHour(stack, dynamodb, interleaving), Bounds("one sender", ONE_METER, at_once=1))

    replay.start()
    replay.declare(replay.state.senders[0])
    replay.lose_response(replay.state.senders[0], has_effect=has_effect)
    replay.refuse(replay.state.senders[0])
    replay.conclude(replay.state.senders[0])

    replay.assert_is_the_same()


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(QUICK_WALKS, QUICK_WALKS + DEEP_WALKS))
def test_the_real_code_takes_the_models_steps_in_many_walks(
    seed: int, stack: Stack, dynamodb: DynamoDBClient, interleaving: Interleaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_conform(seed, stack, dynamodb, interleaving, monkeypatch)
