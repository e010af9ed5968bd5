"""Whatever fails on the way to the bus: each change is told at least once, and an organisation's in their order.

What is told of a record is a chain: each event's `before` is the `after` of the one before it, the first one's is null,
and the last one's `after` is what the table has. A change that was lost, or told too early, would break it.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest

from billing.access.reading import access_of
from billing.clock import format_time, utc_now
from operations.telling import items_changed, items_of
from programs.local import tables
from programs.local.stack import Stack
from programs.local.streams import StreamPump
from tests.support.event_bus import TROUBLES, TestBus, Trouble, takes_nothing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

ORGANIZATIONS = ("acme", "beta", "gamma")


def write(dynamodb: DynamoDBClient, organization_id: str, version: int, status: str) -> None:
    """Write a record as a webhook does, without Stripe: what the stream has of it is the same."""
    access = {"active": ("allowed", "active"), "past_due": ("grace", "past_due"), "canceled": ("denied", "canceled")}
    state, reason = access[status]
    dynamodb.put_item(
        TableName="SubscriptionsTable",
        Item={
            "organization_id": {"S": organization_id},
            "stripe_subscription_id": {"S": f"sub_{organization_id}"},
            "status": {"S": status},
            "access": {"S": state},
            "access_reason": {"S": reason},
            "version": {"N": str(version)},
            "updated_at": {"S": format_time(utc_now())},
            "fetched_at": {"S": format_time(utc_now())},
        },
    )


def write_some(dynamodb: DynamoDBClient, randomness: random.Random, versions: dict[str, int], how_many: int) -> None:
    for _ in range(how_many):
        organization_id = randomness.choice(ORGANIZATIONS)
        versions[organization_id] = versions.get(organization_id, 0) + 1
        status = randomness.choice(["active", "past_due", "canceled"])
        write(dynamodb, organization_id, versions[organization_id], status)


def assert_told_in_order(stack: Stack, bus: TestBus, organization_ids: Any, context: object = "") -> int:
    """Assert the chain of each organisation; return how many events there were."""
    told = 0
    for organization_id in organization_ids:
        record = stack.record(organization_id)
        for detail_type in ("SubscriptionChanged", "AccessChanged"):
            chain = bus.told(organization_id, detail_type)
            assert chain, (organization_id, detail_type, context)
            assert chain[0]["before"] is None, context
            for earlier, later in itertools.pairwise(chain):
                assert later["before"] == earlier["after"], (organization_id, detail_type, context)
                assert later["record_version"] > earlier["record_version"], context
            told += len(chain)
        assert bus.told(organization_id, "SubscriptionChanged")[-1]["after"]["status"] == record.status, context
        assert bus.told(organization_id, "AccessChanged")[-1]["after"]["reason"] == record.access_reason, context
    return told


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_every_call_to_the_bus_may_fail_in_every_way(
    stack: Stack, dynamodb: DynamoDBClient, pump: StreamPump, bus: TestBus, trouble: Trouble
) -> None:
    randomness, versions = random.Random(1), dict[str, int]()
    write_some(dynamodb, randomness, versions, 25)
    records = pump.waiting("SubscriptionsTable")
    calls = 0
    for number in itertools.count():
        bus.entries.clear()
        bus.calls.clear()
        bus.troubles = [*[None] * number, trouble]
        for (_, shard_id), each in records.items():
            pump._hand_over("SubscriptionsTable", shard_id, each)
        assert_told_in_order(stack, bus, versions, (trouble, number))
        if bus.troubles:
            break
        calls += 1
    assert calls > 5


def explore(
    stack: Stack, dynamodb: DynamoDBClient, pump: StreamPump, bus: TestBus, seed: int, batch_sizes: tuple[int, ...]
) -> int:
    """Write and read at random, with trouble, and then read on without; return how many events were told."""
    tables.empty_tables(dynamodb)
    pump.begin()
    bus.entries.clear()
    randomness, versions = random.Random(seed), dict[str, int]()
    pump.batch_size = randomness.choice(batch_sizes)
    for _ in range(randomness.randint(1, 6)):
        write_some(dynamodb, randomness, versions, randomness.randint(1, 12))
        bus.troubles = [
            randomness.choice(TROUBLES) if randomness.random() < 0.5 else None for _ in range(randomness.randint(0, 12))
        ]
        pump.run()
    bus.troubles = []
    pump.run()
    return assert_told_in_order(stack, bus, versions, seed)


@pytest.mark.parametrize("lives", [15, pytest.param(600, marks=pytest.mark.deep)])
def test_whatever_fails_each_change_is_told_and_in_order(
    stack: Stack,
    dynamodb: DynamoDBClient,
    pump: StreamPump,
    bus: TestBus,
    lives: int,
    request: pytest.FixtureRequest,
) -> None:
    told = sum(explore(stack, dynamodb, pump, bus, seed, (1, 3, 100)) for seed in range(lives))
    text = f"events: {lives} lives with trouble at the bus, {told} events told, none lost, all in order"
    request.node.user_properties.append(("exploration", text))


def test_what_failed_for_good_is_told_again_by_the_operator(
    stack: Stack, dynamodb: DynamoDBClient, pump: StreamPump, bus: TestBus
) -> None:
    write(dynamodb, "acme", 1, "active")
    write(dynamodb, "acme", 2, "past_due")
    write(dynamodb, "beta", 1, "active")
    began = stack.record("acme").updated_at
    pump.attempts = 3
    bus.troubles = [takes_nothing] * 100
    pump.run()
    assert bus.entries == []
    assert sum(letter.size for letter in pump.dead_letters) == 3, "the stream has them named, and goes on"

    bus.troubles = []
    write(dynamodb, "gamma", 1, "active")
    for item in items_changed(began):
        assert item.tell()
    pump.run()

    for organization_id, status in (("acme", "past_due"), ("beta", "active"), ("gamma", "active")):
        last = bus.told(organization_id, "SubscriptionChanged")[-1]
        assert (last["is_retold"], last["before"], last["after"]["status"]) == (True, None, status)
        assert bus.told(organization_id, "AccessChanged")[-1]["is_retold"]
    assert bus.types("gamma") == ["SubscriptionChanged", "AccessChanged"] * 2, "once by its own change"


def test_an_organisation_may_be_told_again_twice_in_a_second(
    stack: Stack, dynamodb: DynamoDBClient, pump: StreamPump, bus: TestBus
) -> None:
    write(dynamodb, "acme", 1, "active")
    for _ in range(2):
        assert [item.tell() for item in items_of("acme")] == [True]
    pump.run()

    assert len(bus.told("acme", "AccessChanged")) == 3
    assert access_of(stack.record("acme"), utc_now())
