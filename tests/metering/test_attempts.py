"""How often, how fast and in which parts events are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from billing.errors import StripeRefusedError, UnavailableError
from billing.metering.hour import MeterEvent, Refusal
from billing.metering.sending import MeterEventSender
from billing.rate_limit import RateLimit
from billing.settings import meter_event_transport, meter_events_per_second
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.meter_events import MeterEvents
from stripe_simulator import Simulator
from tests.support.secrets import fixed_secrets


def test_attempts_wait_a_random_part_of_a_time_that_doubles(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest: list[float] = []
    slept: list[float] = []

    def uniform(low: float, high: float) -> float:
        longest.append(high)
        return (low + high) / 2

    monkeypatch.setattr("billing.stripe_gateway.calls.random.uniform", uniform)
    monkeypatch.setattr("billing.stripe_gateway.calls.time.sleep", slept.append)
    simulator.faults.add("http_429", "/v1/billing/meter_events")
    meter_events = MeterEvents(StripeGateway(fixed_secrets("sk_test_x"), simulator.base_url, simulator.base_url))

    (outcome,) = sender(meter_events, "single").send([event(1)])

    assert isinstance(outcome, UnavailableError)
    assert longest == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert slept == pytest.approx([0.1, 0.2, 0.4, 0.8])


def test_the_rate_is_kept_by_all_threads_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("billing.rate_limit.time.monotonic", lambda: now[0])
    monkeypatch.setattr("billing.rate_limit.time.sleep", sleep)
    limit = RateLimit(1_000)
    for _ in range(5):
        limit.wait(100)
    assert slept == pytest.approx([0.1, 0.2, 0.3, 0.4])
    now[0] += 60
    limit.wait(100)
    assert len(slept) == 4, "what was not used is not saved up either"


@pytest.mark.parametrize(
    ("key", "workers", "per_second"),
    [("sk_live_x", "", 8_000), ("sk_live_x", "4", 2_000), ("sk_test_x", "", 20), ("rk_test_x", "2", 10)],
)
def test_the_workers_share_stripes_limit(
    monkeypatch: pytest.MonkeyPatch, key: str, workers: str, per_second: float
) -> None:
    monkeypatch.delenv("METER_EVENTS_PER_SECOND", raising=False)
    monkeypatch.setenv("METERING_WORKERS", workers)

    assert meter_events_per_second(key, meter_event_transport(key)) == per_second


class StrictStream:
    """Refuse every batch that has a culprit in it, as Stripe would, naming nobody."""

    def __init__(self, *culprits: str, code: str | None = "invalid_fields") -> None:
        self.culprits, self.code = set(culprits), code
        self.accepted: list[str] = []
        self.calls = 0

    def stream(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.calls += 1
        identifiers = [each["identifier"] for each in events]
        if self.culprits & set(identifiers):
            raise StripeRefusedError("The request body is not valid.", self.code)
        self.accepted += identifiers


def event(number: int) -> MeterEvent:
    return MeterEvent("active_sensors", f"id-{number}", 1_795_420_801, "cus_1", number)


def sender(meter_events: Any, transport: Any = "stream") -> MeterEventSender:
    executor: Any = ThreadPoolExecutor(2)
    return MeterEventSender(meter_events, transport, executor, RateLimit(1e9), lambda: True)


def test_a_refused_batch_is_split_until_the_culprits_are_alone() -> None:
    gateway = StrictStream("id-7", "id-93")

    outcomes = sender(gateway).send([event(number) for number in range(150)])

    refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Refusal)]
    assert refused == [7, 93]
    assert len(gateway.accepted) == 148
    assert len(set(gateway.accepted)) == 148, "none was sent twice"
    assert gateway.calls <= 2 + 2 * 2 * 7


def test_a_refused_event_is_one_to_send_later_when_its_meter_or_the_clock_is_at_fault() -> None:
    for code in ("no_meter", "archived_meter", "timestamp_in_future"):
        stream = StrictStream("id-1", code=code)
        (outcome,) = sender(stream).send([event(1)])
        assert isinstance(outcome, UnavailableError), code
        assert stream.calls == 1, "a refusal is not tried again"
