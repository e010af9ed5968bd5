"""What Stripe's meters report later, as thin events: the hours they name are marked, the rest is compared."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from billing import record_active_sensors, record_readings
from billing.clock import format_time
from billing.metering.plan import identifier
from billing.tables.stripe_events import StripeEventRecord
from billing.webhooks.events import METER_ERROR_REPORT
from billing.webhooks.meter_errors import LONGEST_REPORT, REFUSED_FOR_GOOD
from programs.local.stack import THIN_SECRET, Stack
from stripe_simulator import Delivery
from tests.support.calls import Calls, Crash
from tests.support.faults import CRASHES, FAILURES
from tests.webhooks.conftest import Output, Queue

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
START = format_time(HOUR)
# What a later send cures: the meter or the clock has to change.
CURABLE = ("archived_meter", "no_meter", "timestamp_in_future", "a_code_that_stripe_adds_next_year")


@pytest.fixture
def reported(stack: Stack, acme: str) -> str:
    """Have an hour of acme's reported to Stripe; return the meter's id of the readings."""
    count_again(stack)
    stack.advance(hours=1)
    assert stack.meter()["settled"] == 1
    return meter_of(stack, "temperature_readings")


def count_again(stack: Stack, organization_id: str = "acme") -> None:
    record_active_sensors(organization_id, 3, HOUR)
    record_readings(organization_id, 120, HOUR)


def meter_of(stack: Stack, event_name: str) -> str:
    meters = stack.simulator.account.meters.objects.values()
    return str(next(meter["id"] for meter in meters if meter["event_name"] == event_name))


def named(stack: Stack, event_name: str = "temperature_readings", organization_id: str = "acme") -> str:
    """Return the identifier under which an hour's total was sent last."""
    hour = stack.usage(organization_id, START)
    return identifier(organization_id, event_name, START, int(hour.revision), int(hour.reported[event_name]))


def report(stack: Stack, meter_id: str | None, code: str, *identifiers: str) -> Delivery:
    stack.simulator.account.error_reports.trigger(meter_id, code, list(identifiers))
    return stack.simulator.webhooks.take()[-1]


@pytest.mark.parametrize("code", sorted(REFUSED_FOR_GOOD))
def test_an_hour_is_refused_when_no_resend_of_it_can_succeed(
    stack: Stack, reported: str, queue: Queue, code: str
) -> None:
    delivery = report(stack, reported, code, named(stack))

    assert stack.deliver(delivery).outcome == "processed"

    hour = stack.usage("acme", START)
    assert str(hour.refused).startswith(f"{code}: ")
    assert hour.due_at is None
    assert hour.reported == {"active_sensors": 3}, "the other meter's total was counted"
    assert stack.meter()["hours"] == 0


@pytest.mark.parametrize("code", CURABLE)
def test_an_hour_is_due_again_when_a_resend_of_it_can_succeed(
    stack: Stack, reported: str, queue: Queue, code: str
) -> None:
    stack.simulator.account.observers.clear()  # one of the codes is not Stripe's
    delivery = report(stack, reported, code, named(stack))

    assert stack.deliver(delivery).outcome == "processed"

    hour = stack.usage("acme", START)
    assert hour.refused is None
    assert hour.reported is None
    assert stack.due_hours() == [("acme", START)]
    assert stack.meter()["settled"] == 1
    assert stack.differences(["acme"], HOUR, datetime(2026, 11, 24, tzinfo=UTC)) == []


def test_every_hour_that_a_report_names_is_marked(stack: Stack, reported: str, queue: Queue) -> None:
    stack.subscribe("other", at=HOUR)
    stack.deliver_all()
    count_again(stack, "other")
    stack.meter()
    delivery = report(stack, reported, "meter_event_invalid_value", named(stack), named(stack, organization_id="other"))

    stack.deliver(delivery)

    assert stack.usage("acme", START).refused is not None
    assert stack.usage("other", START).refused is not None


def test_a_report_marks_a_total_when_only_the_other_meter_was_corrected_since(
    stack: Stack, reported: str, queue: Queue
) -> None:
    newest = named(stack)
    record_active_sensors("acme", 4, HOUR)
    stack.meter()
    assert stack.usage("acme", START).revision == 2

    stack.deliver(report(stack, reported, "meter_event_invalid_value", newest))

    hour = stack.usage("acme", START)
    assert str(hour.refused).startswith("meter_event_invalid_value: ")
    assert hour.reported == {"active_sensors": 4}


def test_a_report_is_not_forgotten_when_the_hour_is_due_for_the_other_meter(
    stack: Stack, reported: str, queue: Queue
) -> None:
    newest = named(stack)
    record_active_sensors("acme", 4, HOUR)
    stack.deliver(report(stack, reported, "meter_event_invalid_value", newest))

    sent = len(stack.simulator.requests.to("POST /v1/billing/meter_events"))
    stack.meter()
    events = stack.simulator.requests.to("POST /v1/billing/meter_events")[sent:]
    assert {event.params["event_name"] for event in events} == {"active_sensors", "temperature_readings"}


@pytest.mark.parametrize("code", ["meter_event_invalid_value", "archived_meter"])
def test_a_report_about_a_total_that_was_corrected_since_marks_nothing(
    stack: Stack, reported: str, queue: Queue, code: str
) -> None:
    stale = named(stack)
    record_readings("acme", 5, HOUR)
    stack.meter()
    before = stack.usage("acme", START).serialize()

    assert stack.deliver(report(stack, reported, code, stale)).outcome == "processed"
    assert stack.usage("acme", START).serialize() == before


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "another system's event",
        "acme:active_sensors:2026-11-23T08Z:rX:3",
        "acme:another_meter:2026-11-23T08Z:r1:3",
        "nobody:active_sensors:2026-11-23T08Z:r1:3",
        ":active_sensors:2026-11-23T08Z:r1:3",
        "acme:active_sensors:2026-11-23:r1:3",
        identifier("o" * 200, "active_sensors", START, 1, 3),
    ],
)
def test_a_name_that_cannot_be_traced_marks_nothing_and_is_left_to_the_comparison(
    stack: Stack, reported: str, queue: Queue, foreign: str
) -> None:
    before = stack.usage("acme", START).serialize()

    assert stack.deliver(report(stack, reported, "meter_event_invalid_value", foreign)).outcome == "processed"

    assert stack.usage("acme", START).serialize() == before
    assert {message["meter_id"] for message in queue.messages} == {reported}


def test_the_meter_that_reported_errors_is_compared_for_every_organisation(
    stack: Stack, reported: str, queue: Queue
) -> None:
    stack.deliver(report(stack, reported, "archived_meter"))

    assert sorted(message["segment"] for message in queue.messages) == list(range(16))
    assert {message["meter_id"] for message in queue.messages} == {reported}


def test_all_meters_are_compared_when_events_found_no_meter(stack: Stack, reported: str, queue: Queue) -> None:
    stack.deliver(report(stack, None, "no_meter", named(stack)))

    assert sorted(message["segment"] for message in queue.messages) == list(range(16))
    assert all("meter_id" not in message for message in queue.messages)
    assert stack.due_hours() == [("acme", START)]


def test_the_report_is_stored_with_the_event(stack: Stack, reported: str, queue: Queue) -> None:
    rejected = named(stack)
    delivery = report(stack, reported, "meter_event_invalid_value", rejected)
    stack.deliver(delivery)

    stored = json.loads(StripeEventRecord.get(delivery.event_id).report)
    assert stored["reason"]["error_types"][0]["code"] == "meter_event_invalid_value"
    assert stored["reason"]["error_types"][0]["sample_errors"][0]["request"]["identifier"] == rejected


def test_a_report_of_any_size_or_shape_is_taken(
    stack: Stack, reported: str, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[Any] = [
        None,
        {},
        {"reason": None},
        {"reason": {"error_types": None}},
        {"reason": {"error_types": 7}},
        {"reason": {"error_types": [None, 7, {"code": None}, {"code": "x", "sample_errors": 7}]}},
        {"reason": {"error_types": [{"code": "x", "sample_errors": [None, {"request": None}]}]}},
        {"reason": {"error_types": [{"code": "x", "sample_errors": [{"request": {"identifier": 7}}]}]}},
        {"developer_message_summary": "x" * 5 * LONGEST_REPORT},
    ]
    for shape in shapes:
        delivery = report(stack, reported, "archived_meter")
        monkeypatch.setattr(
            "billing.webhooks.meter_errors.retrieve_thin_event", lambda gateway, event_id, data=shape: {"data": data}
        )
        assert stack.deliver(delivery).outcome == "processed", shape
        assert len(StripeEventRecord.get(delivery.event_id).report) <= LONGEST_REPORT


def test_a_report_that_stripe_no_longer_has_is_left_to_the_comparison(
    stack: Stack, reported: str, queue: Queue
) -> None:
    delivery = report(stack, reported, "archived_meter", named(stack))
    stack.advance(days=31)

    assert stack.deliver(delivery).outcome == "processed"
    assert queue.messages


def test_a_report_is_taken_once(stack: Stack, reported: str, queue: Queue) -> None:
    delivery = report(stack, reported, "archived_meter", named(stack))
    stack.deliver(delivery)
    messages, asked = len(queue.messages), stack.simulator.requests.total

    assert stack.deliver(delivery).outcome == "duplicate"
    assert (len(queue.messages), stack.simulator.requests.total) == (messages, asked)


@pytest.mark.parametrize("code", ["meter_event_invalid_value", "archived_meter"])
@pytest.mark.parametrize("how", [*CRASHES, *FAILURES])
def test_a_report_is_taken_completely_when_its_first_delivery_dies_or_fails_at_any_call(
    stack: Stack, reported: str, queue: Queue, calls: Calls, how: Any, code: str
) -> None:
    undisturbed = report(stack, reported, code, named(stack))
    with calls.watched() as names:
        assert stack.deliver(undisturbed).status == 200
    for position, name in enumerate(names):
        stack.usage("acme", START).delete()
        count_again(stack)
        stack.meter()
        delivery = report(stack, reported, code, named(stack))
        queue.messages.clear()
        # Stripe's failures last, or the gateway's own attempts would heal them.
        disturbed = range(position, position + (3 if name == "stripe" else 1))
        with calls.watched(lambda number, _, disturbed=disturbed: how if number in disturbed else None):  # type: ignore[misc]
            if how in CRASHES:
                with pytest.raises(Crash):
                    stack.deliver(delivery)
            else:
                assert stack.deliver(delivery).status == 500, name
        assert calls.disturbed

        assert stack.deliver(delivery).status == 200, name
        hour = stack.usage("acme", START)
        if code == "archived_meter":
            assert stack.due_hours() == [("acme", START)], name
        else:
            assert str(hour.refused).startswith(code), name
        assert {message["segment"] for message in queue.messages} == set(range(16)), name
        assert json.loads(StripeEventRecord.get(delivery.event_id).report)["reason"], name


# --------------------------------------------------------------------------------------------- thin events at large


def test_a_thin_event_has_its_own_secret_and_the_same_way(stack: Stack, acme: str) -> None:
    stack.simulator.account.subscriptions.set_status(acme, "past_due")
    thin = next(one for one in stack.simulator.webhooks.take() if one.payload == "thin")

    assert thin.destination.valid_secrets() == [THIN_SECRET]
    assert "data" not in thin.event()
    assert stack.deliver(thin).outcome == "processed"
    assert stack.record("acme").status == "past_due"


def test_a_thin_event_of_an_unknown_type_is_recorded_as_ignored(stack: Stack, acme: str, output: Output) -> None:
    stack.simulator.account.observers.clear()  # Stripe has no such event
    stack.simulator.account.events.emit_thin("v1.invented.thing.happened", None, None)
    (delivery,) = stack.simulator.webhooks.take()

    assert (stack.deliver(delivery).outcome, StripeEventRecord.get(delivery.event_id).outcome) == ("ignored",) * 2
    assert [line["stripe_event_type"] for line in output.events()] == ["v1.invented.thing.happened"]


def test_a_meter_report_in_a_snapshots_shape_is_ignored(stack: Stack, acme: str) -> None:
    """Stripe sends these as thin events only; in another shape there is nothing to fetch."""
    stack.simulator.account.observers.clear()  # Stripe has no such event
    stack.simulator.account.events.emit(METER_ERROR_REPORT, {"id": "mtr_1", "object": "billing.meter"})
    delivery = next(one for one in stack.simulator.webhooks.take() if one.payload == "snapshot")

    assert stack.deliver(delivery).outcome == "ignored"
