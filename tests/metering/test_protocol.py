"""The corners of declare, send and settle that a story told at random seldom reaches."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from billing import get_stripe_meter_service
from billing.clock import format_time
from billing.metering import due, writes
from billing.metering.hour import UsageHour
from billing.metering.sending import MeterEventSender, Outcome
from billing.tables.usage import make_refused_due, make_unreported_due, refuse_reported
from tests.support.due_hours import HOUR, due_hour, link, put, subscribed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

NINE = format_time(HOUR)
SENSORS, READINGS = "active_sensors", "temperature_readings"


@pytest.fixture
def acme(stack: Stack, dynamodb: DynamoDBClient) -> str:
    """Let an organisation use something in an hour that has ended; return its customer."""
    subscribed(stack, dynamodb, ["acme"])
    put(dynamodb, "UsageTable", [due_hour("acme")])
    stack.advance(hours=1)
    return next(iter(stack.customers["acme"]))


def count(stack: Stack, number: int) -> None:
    from billing import record_active_sensors

    record_active_sensors("acme", number, HOUR)


def at_stripe(stack: Stack, customer_id: str, meter: str = SENSORS) -> int | None:
    return stack.simulator.account.hourly(customer_id, meter).get(int(HOUR.timestamp()))


def before_call(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, happens: Callable[[], object]) -> None:
    """Let something happen once, just before a function of a module is called for the first time."""
    function = getattr(module, name)
    waiting = [happens]

    def then(*arguments: Any) -> Any:
        if waiting:
            waiting.pop()()
        return function(*arguments)

    monkeypatch.setattr(module, name, then)


def new_customer(stack: Stack, dynamodb: DynamoDBClient) -> str:
    customer_id = str(stack.simulator.account.customers.create({})["id"])
    stack.customers["acme"].add(customer_id)
    put(dynamodb, "SubscriptionsTable", [link("acme", customer_id)])
    return customer_id


def dying(monkeypatch: pytest.MonkeyPatch, stack: Stack) -> None:
    """Let a run declare the hour and die before it has sent anything."""
    with monkeypatch.context() as patched:
        patched.setattr(MeterEventSender, "send", lambda self, events: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stack.meter()


def test_an_hour_is_refused_only_when_no_older_total_can_arrive_any_more(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying(monkeypatch, stack)
    count(stack, 4)
    stack.simulator.faults.add("http_400", "/v1/billing/meter_events", message="No such customer: 'x'", limit=2)

    assert stack.meter()["refused"] == {}
    assert stack.due_hours() == [("acme", NINE)]

    stack.advance(hours=1)
    assert stack.meter()["settled"] == 1
    assert at_stripe(stack, acme) == 4


def test_a_refused_hour_goes_to_the_new_customer_when_the_old_one_never_took_any_of_it(
    stack: Stack, acme: str, dynamodb: DynamoDBClient
) -> None:
    stack.simulator.account.customers.delete(acme)
    assert stack.meter()["refused"] == {"no_such_customer": 1}
    other = new_customer(stack, dynamodb)

    assert make_refused_due(stack.usage("acme", NINE))
    stack.meter()

    assert at_stripe(stack, other) == 3
    assert stack.due_hours() == []


@pytest.mark.parametrize("dies_first", [False, True])
def test_a_refused_correction_stays_with_the_customer_that_took_the_hour_before(
    stack: Stack, acme: str, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, dies_first: bool
) -> None:
    stack.meter()
    other = new_customer(stack, dynamodb)
    count(stack, 9)
    if dies_first:
        dying(monkeypatch, stack)
        stack.advance(hours=1)
    stack.simulator.account.customers.delete(acme)
    assert stack.meter()["refused"] == {"no_such_customer": 1}

    for _ in range(2):
        make_refused_due(stack.usage("acme", NINE))
        assert stack.meter()["refused"] == {"no_such_customer": 1}

    assert at_stripe(stack, other) is None, "it would be billed twice"
    assert stack.usage("acme", NINE).reported_to == acme


def test_what_stripe_has_of_a_refused_hour_is_still_compared(stack: Stack, acme: str) -> None:
    stack.meter()
    count(stack, 9)
    stack.simulator.faults.add("http_400", "/v1/billing/meter_events", message="Value not allowed", limit=1)
    assert stack.meter()["refused"] == {"refused_by_stripe": 1}
    assert stack.usage("acme", NINE).reported == {SENSORS: 3, READINGS: 120}

    stack.advance(hours=2)
    assert stack.reconcile()["drift_events"] == 0, "no alarm every day"
    stack.simulator.account.meter_events.double_hour(acme, READINGS, HOUR.timestamp())
    assert stack.reconcile()["drift_events"] == 1


def test_a_refused_meter_is_no_drift_when_nobody_knows_what_stripe_has_of_it(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.metering.invocation.CALLS_AT_ONCE", 1)
    stack.meter()
    count(stack, 9)
    dying(monkeypatch, stack)
    stack.advance(hours=1)
    stack.simulator.faults.add("http_400", "/v1/billing/meter_events", message="Value not allowed", limit=1)
    assert stack.meter()["refused"] == {"refused_by_stripe": 1}
    assert stack.usage("acme", NINE).reported == {READINGS: 120}

    stack.advance(hours=2)
    assert stack.reconcile()["drift_events"] == 0
    assert stack.usage("acme", NINE).refused.startswith("refused_by_stripe")


def test_a_lost_hour_is_sent_again_when_a_run_was_about_to_settle_it_unsent(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.meter()
    stack.simulator.account.meter_events.lose_hour(acme, SENSORS, HOUR.timestamp())
    seen_before = stack.usage("acme", NINE)
    count(stack, 3)
    before_call(monkeypatch, writes, "settling_unsent", lambda: make_unreported_due(seen_before))

    stack.meter()
    stack.meter()

    assert at_stripe(stack, acme) == 3
    assert stack.due_hours() == []


def test_a_refusal_that_came_later_stays_when_a_run_was_about_to_settle_the_hour_unsent(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.meter()
    count(stack, 3)

    def settled_by_another_run_and_refused() -> None:
        stack.meter()
        assert refuse_reported(stack.usage("acme", NINE), SENSORS, "meter_event_invalid_value: …")

    before_call(monkeypatch, writes, "settling_unsent", settled_by_another_run_and_refused)
    stack.meter()

    assert stack.usage("acme", NINE).refused == "meter_event_invalid_value: …"


def test_an_error_report_leaves_an_hour_alone_that_was_corrected_since(stack: Stack, acme: str) -> None:
    stack.meter()
    count(stack, 5)

    assert not refuse_reported(stack.usage("acme", NINE), SENSORS, "meter_event_invalid_value: …")
    stack.meter()
    assert at_stripe(stack, acme) == 5


def test_no_identifier_is_used_again_when_stripe_dropped_the_event_after_taking_it(stack: Stack, acme: str) -> None:
    stack.meter()
    make_unreported_due(stack.usage("acme", NINE))
    stack.meter()

    sent = [request.params["identifier"] for request in stack.simulator.requests.to("POST /v1/billing/meter_events")]
    assert len(set(sent)) == len(sent) == 4


def test_the_hour_stays_with_its_customer_when_a_sender_of_the_same_totals_is_refused_meanwhile(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MeterEventSender.send

    def send(sender: MeterEventSender, events: Any) -> list[Outcome]:
        monkeypatch.setattr(MeterEventSender, "send", real)
        outcomes = real(sender, events)
        # Another run resends the same totals, and Stripe refuses them.
        stack.simulator.faults.add("http_400", "/v1/billing/meter_events", message="No such customer: 'x'", limit=2)
        assert stack.meter()["refused"] == {}, "the first sender may have got them accepted"
        return outcomes

    monkeypatch.setattr(MeterEventSender, "send", send)
    assert stack.meter()["settled"] == 0, "it no longer declared last"
    stack.meter()

    hour = stack.usage("acme", NINE)
    assert hour.reported_to == acme
    assert not hour.due_at


def test_the_service_succeeds_when_a_run_reports_its_number_first(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_call(monkeypatch, due, "read_due", stack.meter)

    result = get_stripe_meter_service().report_active_sensors_with_timestamp("acme", 8, HOUR)

    assert (result.success, result.error) == (True, None)
    assert at_stripe(stack, acme) == 8


def test_memory_does_not_grow_with_the_due_hours(
    stack: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.metering.invocation.UNIT_EVENTS", 20)
    monkeypatch.setenv("METER_EVENT_TRANSPORT", "stream")
    names = [f"org-{number}" for number in range(200)]
    subscribed(stack, dynamodb, names)
    put(dynamodb, "UsageTable", [due_hour(name) for name in names])
    stack.advance(hours=1)
    held = []
    real = MeterEventSender.send

    def send(sender: MeterEventSender, events: Any) -> list[Outcome]:
        import gc

        held.append(sum(isinstance(each, UsageHour) for each in gc.get_objects()))
        return real(sender, events)

    monkeypatch.setattr(MeterEventSender, "send", send)
    assert stack.meter()["settled"] == 200
    assert max(held) <= 80, "two units and what waits for a full request; never all that is due"
