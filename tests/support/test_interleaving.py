"""The fault harness itself: calls are listed, disturbed and interleaved as a test says, without any server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from billing.metering import invocation
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.tables.table import client
from tests.support.calls import Call
from tests.support.faults import CrashAfter, CrashBefore, Throttled
from tests.support.interleaving import Interleaving, Killed, Process

KEY = {"organization_id": {"S": "acme"}}


class Counter:
    """A number in an imagined table, which each process reads, and then writes increased by one."""

    def __init__(self) -> None:
        self.value = 0
        self.operations: list[str] = []

    def respond(self, _: Any, operation: str, request: Any) -> Any:
        self.operations.append(operation)
        if operation == "GetItem":
            return {"Item": {"value": {"N": str(self.value)}}}
        self.value = int(request["Item"]["value"]["N"])
        return {}

    def increase(self) -> int:
        item = client().get_item(TableName="UsageTable", Key=KEY)["Item"]
        value = int(item["value"]["N"]) + 1
        client().put_item(TableName="UsageTable", Item=KEY | {"value": {"N": str(value)}})
        return value


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://dynamodb.test")
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_interleaving")
    monkeypatch.setattr(BaseClient, "_make_api_call", counter.respond)
    monkeypatch.setattr(StripeGateway, "once", lambda gateway, call: gateway)
    return counter


@pytest.fixture
def interleaving(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interleaving]:
    with Interleaving(monkeypatch) as interleaving:
        yield interleaving


def pending(process: Process) -> Call:
    assert process.pending is not None
    return process.pending


def test_a_process_stands_before_its_first_call_when_it_is_started(
    interleaving: Interleaving, counter: Counter
) -> None:
    process = interleaving.start(counter.increase)

    assert (pending(process).name, pending(process).operation) == ("dynamodb:GetItem", "GetItem")
    assert pending(process).parameters == {"TableName": "UsageTable", "Key": KEY}
    assert counter.operations == []


def test_a_process_makes_one_call_with_each_step(interleaving: Interleaving, counter: Counter) -> None:
    process = interleaving.start(counter.increase)

    process.step()
    assert (counter.operations, pending(process).name) == (["GetItem"], "dynamodb:PutItem")
    process.step()
    assert (counter.operations, process.pending, process.result) == (["GetItem", "PutItem"], None, 1)


@pytest.mark.parametrize(("schedule", "value"), [([0, 0, 1, 1], 2), ([0, 1, 0, 1], 1), ([1, 0, 0, 1, 0, 1], 1)])
def test_processes_go_on_in_the_order_of_a_schedule(
    interleaving: Interleaving, counter: Counter, schedule: list[int], value: int
) -> None:
    for _ in range(2):
        interleaving.start(counter.increase)

    interleaving.follow(schedule)

    assert [process.pending for process in interleaving.processes] == [None, None]
    assert counter.value == value


def test_a_killed_process_makes_no_further_call(interleaving: Interleaving, counter: Counter) -> None:
    def stubborn() -> None:
        try:
            counter.increase()
        finally:
            counter.increase()

    for _ in range(2):
        interleaving.start(stubborn)

    interleaving.follow([0, 1, Killed(0), 0, 1])

    assert counter.operations == ["GetItem", "GetItem", "PutItem"]
    assert interleaving.processes[0].pending is None


def test_those_who_have_not_ended_die_with_the_interleaving(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    with Interleaving(monkeypatch) as interleaving:
        process = interleaving.start(counter.increase)
        process.step()

    assert (counter.operations, process.thread.is_alive()) == (["GetItem"], False)


def test_chance_leads_to_several_ends_and_its_schedule_repeats_each(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = set()
    for seed in range(20):
        values = []
        schedule: list[int | Killed] = []
        for is_repeated in (False, True):
            counter.value = 0
            with monkeypatch.context() as patched, Interleaving(patched) as interleaving:
                for _ in range(3):
                    interleaving.start(counter.increase)
                if is_repeated:
                    interleaving.follow(schedule)
                else:
                    schedule = interleaving.run_at_random(random.Random(seed), kill_probability=0.1)
                assert all(process.pending is None for process in interleaving.processes)
            values.append(counter.value)
        assert values[0] == values[1], schedule
        ends.add(values[0])

    assert {1, 2} <= ends


def test_a_call_can_be_disturbed_when_its_process_makes_it(interleaving: Interleaving, counter: Counter) -> None:
    refused, dies_before, dies_after = (interleaving.start(counter.increase) for _ in range(3))

    with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
        refused.step(Throttled())
    dies_before.step(CrashBefore())
    dies_after.step(CrashAfter())

    assert [process.pending for process in interleaving.processes] == [None, None, None]
    assert counter.operations == ["GetItem"]


def test_what_a_process_raises_is_raised_by_the_step_that_led_there(
    interleaving: Interleaving, counter: Counter
) -> None:
    def fail() -> None:
        counter.increase()
        raise ValueError("after the second call")

    process = interleaving.start(fail)
    process.step()

    with pytest.raises(ValueError, match="after the second call"):
        process.step()
    assert process.pending is None


def test_a_call_to_stripe_is_known_by_the_sdks_method_and_its_arguments(interleaving: Interleaving) -> None:
    def call() -> None:
        stripe_gateway().once(lambda client: client.v1.customers.retrieve("cus_1").to_dict())
        stripe_gateway().once(lambda client: client.raw_request("get", "/v1/customers", limit=100).data)

    process = interleaving.start(call)

    assert pending(process).name == "stripe"
    assert (pending(process).operation, pending(process).parameters) == ("v1.customers.retrieve", ("cus_1",))
    process.step()
    assert pending(process).operation == "raw_request"
    assert pending(process).parameters == ("get", "/v1/customers", {"limit": 100})


def test_each_process_has_a_gateway_of_its_own(interleaving: Interleaving) -> None:
    def gateways() -> list[StripeGateway]:
        # As the module finds it: by the name that it imported.
        return [vars(invocation)["stripe_gateway"]() for _ in range(2)]

    first, second = (interleaving.start(gateways).result for _ in range(2))

    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first[0] is first[1]
    assert second[0] is second[1]
    assert first[0] is not second[0]
