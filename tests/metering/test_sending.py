"""Both transports: sessions, full requests, several at once, the rate, retries, and refused batches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from billing.errors import UnavailableError
from billing.metering import invocation
from billing.metering.run import FRUITLESS_UNITS
from billing.metering.sending import ATTEMPTS
from billing.stripe_gateway.calls import StripeGateway
from tests.support.due_hours import due_hour, put, subscribed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack

SESSIONS, STREAM = "POST /v2/billing/meter_event_session", "POST /v2/billing/meter_event_stream"
SINGLE = "POST /v1/billing/meter_events"


@pytest.fixture
def streaming(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", "stream")
    return stack


def use_something(stack: Stack, dynamodb: DynamoDBClient, organizations: int = 1, prefix: str = "org") -> list[str]:
    """Let organisations use something, each other one only one meter; return their ids."""
    names = [f"{prefix}-{number}" for number in range(organizations)]
    subscribed(stack, dynamodb, names)
    put(dynamodb, "UsageTable", [due_hour(name, 3, 120 if len(name) % 2 else None) for name in names])
    return names


def requests_to(stack: Stack, route: str) -> int:
    return len(stack.simulator.requests.to(route))


def test_a_session_is_kept_for_the_next_run_until_shortly_before_it_expires(
    streaming: Stack, dynamodb: DynamoDBClient
) -> None:
    streaming.advance(hours=1)
    for minutes, sessions in ((0, 1), (13, 1), (1.5, 2)):
        streaming.advance(minutes=minutes)
        use_something(streaming, dynamodb, prefix=f"after-{minutes}")
        assert streaming.meter()["settled"] == 1
        assert requests_to(streaming, SESSIONS) == sessions
    assert {request.status for request in streaming.simulator.requests.to(STREAM)} == {200}


@pytest.mark.parametrize("kind", ["temporary_session_expired", "invalid_request_error"])
def test_a_new_session_is_opened_when_stripe_calls_the_old_one_expired(
    streaming: Stack, dynamodb: DynamoDBClient, kind: str
) -> None:
    streaming.simulator.settings.session_expired_type = kind
    streaming.advance(hours=1)
    use_something(streaming, dynamodb, prefix="before")
    streaming.meter()
    streaming.simulator.account.meter_event_sessions.expire_all()
    use_something(streaming, dynamodb, prefix="after")

    summary = streaming.meter()

    assert (summary["settled"], summary["left"]) == (1, 0)
    assert [request.status for request in streaming.simulator.requests.to(STREAM)] == [200, 401, 200]
    assert requests_to(streaming, SESSIONS) == 2


def test_hours_stay_due_when_no_session_can_be_had(streaming: Stack, dynamodb: DynamoDBClient) -> None:
    streaming.simulator.settings.stream_in_sandbox = False
    names = use_something(streaming, dynamodb, 3)
    streaming.advance(hours=1)

    summary = streaming.meter()

    assert (summary["left"], summary["refused"]) == (3, {})
    assert "opens no meter event session" in summary["last_problem"]
    assert len(streaming.due_hours()) == len(names)


def test_hours_stay_due_when_every_session_expires_at_once(
    streaming: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = streaming.simulator.account.meter_event_sessions
    create = sessions.create

    def create_expired(*, livemode: bool) -> Any:
        session = create(livemode=livemode)
        sessions.expire_all()
        return session

    monkeypatch.setattr(sessions, "create", create_expired)
    use_something(streaming, dynamodb, 2)
    streaming.advance(hours=1)

    summary = streaming.meter()

    assert (summary["left"], summary["refused"]) == (2, {})


def test_requests_are_full_when_units_and_shards_are_not(
    streaming: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invocation, "UNIT_EVENTS", 60)
    names = use_something(streaming, dynamodb, 217)
    streaming.advance(hours=1)

    summary = streaming.meter()

    events = summary["events_sent"]
    sizes = [len(request.params["events"]) for request in streaming.simulator.requests.to(STREAM)]
    assert summary["settled"] == len(names)
    assert (sum(sizes), len(sizes)) == (events, -(-events // 100))
    assert requests_to(streaming, SESSIONS) == 1
    start, end = streaming.simulator.clock.now() - 7200, streaming.simulator.clock.now()
    for name in names[:20]:
        (customer_id,) = streaming.customers[name]
        assert streaming.simulator.account.billed(customer_id, "active_sensors", start, end) == 3


def test_several_requests_are_in_flight_at_once(streaming: Stack, dynamodb: DynamoDBClient) -> None:
    use_something(streaming, dynamodb, 500)
    streaming.advance(hours=1)
    under_way, most = 0, 0
    real = StripeGateway.once

    def once(gateway: StripeGateway, call: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            time.sleep(0.05)
            return real(gateway, call)
        finally:
            under_way -= 1

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(StripeGateway, "once", once)
        streaming.meter()

    assert most >= 4
    assert requests_to(streaming, STREAM) >= 7


@pytest.mark.parametrize("transport", ["single", "stream"])
def test_a_resend_has_the_same_identifiers_when_a_call_fails_and_when_a_run_does(
    stack: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    route = STREAM if transport == "stream" else SINGLE
    use_something(stack, dynamodb, 1)
    stack.advance(hours=1)
    stack.simulator.faults.add("http_500", route.split()[1])
    stack.meter()
    stack.simulator.faults.clear()
    stack.meter()

    sent = stack.simulator.requests.to(route)
    identifiers = {
        tuple(event["identifier"] for event in request.params.get("events", [request.params])) for request in sent
    }
    assert len(sent) > ATTEMPTS
    assert len(identifiers) == (1 if transport == "stream" else len(sent) // (ATTEMPTS + 1))
    assert stack.due_hours() == []


@pytest.mark.parametrize("transport", ["single", "stream"])
def test_an_hour_is_settled_not_refused_when_a_proxy_answers_with_a_page(
    stack: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    use_something(stack, dynamodb, 1)
    stack.advance(hours=1)
    stack.simulator.faults.add("not_json_after_effect", "/v?/billing/meter_event*", method="POST", limit=3)

    summary = stack.meter()

    assert (summary["settled"], summary["refused"]) == (1, {})


def test_the_service_stays_ahead_of_the_clock_without_losing_the_hour_when_it_reports_very_often(
    stack: Stack, dynamodb: DynamoDBClient
) -> None:
    from billing import get_stripe_meter_service

    subscribed(stack, dynamodb, ["chatty"])
    put(dynamodb, "UsageTable", [due_hour("chatty", 3, 9, revision={"N": "1500"})])

    result = get_stripe_meter_service().report_active_sensors("chatty", 4)

    assert "future" in str(result.error)
    stack.advance(hours=1)
    assert stack.meter()["settled"] == 1
    (customer_id,) = stack.customers["chatty"]
    assert list(stack.simulator.account.hourly(customer_id, "active_sensors").values()) == [4]


@pytest.mark.parametrize(("transport", "unit", "organizations"), [("single", 20, 150), ("stream", 100, 600)])
def test_a_run_gives_up_when_one_unit_after_the_other_comes_to_nothing(
    stack: Stack,
    dynamodb: DynamoDBClient,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    unit: int,
    organizations: int,
) -> None:
    monkeypatch.setenv("METER_EVENT_TRANSPORT", transport)
    monkeypatch.setattr(invocation, "UNIT_EVENTS", unit)
    stack.advance(hours=1)
    use_something(stack, dynamodb, organizations)
    fault = stack.simulator.faults.add("http_503", "/v?/billing/meter_event*", method="POST")

    with pytest.raises(UnavailableError, match=r"gave up.*503"):
        stack.meter()

    calls = FRUITLESS_UNITS * ATTEMPTS * (unit if transport == "single" else 1)
    assert 0 < fault.used <= calls + ATTEMPTS
    assert len(stack.due_hours()) == organizations
    stack.simulator.faults.clear()
    stack.advance(minutes=30)
    assert stack.meter()["settled"] == organizations


def test_nothing_more_is_sent_when_the_time_is_over_in_the_middle_of_a_unit(
    stack: Stack, dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_something(stack, dynamodb, 60)
    stack.advance(hours=1)
    monkeypatch.setattr(invocation, "CALLS_AT_ONCE", 1)

    class Clock:
        left = 100_000

        def get_remaining_time_in_millis(self) -> int:
            sent = requests_to(stack, SINGLE)
            return self.left if sent < 10 else 1_000

    summary = stack.metering_app.handler({}, Clock())

    assert requests_to(stack, SINGLE) == 10
    assert summary["hours"] == 60
    assert summary["left"] == len(stack.due_hours()) >= 50
    stack.meter()
    assert stack.due_hours() == []
