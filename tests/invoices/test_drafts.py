"""A draft waits for its hours: once, whatever becomes of its webhook, and as long as hours are due."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from billing import clock
from billing.clock import HOUR, from_unix
from billing.invoices.storage import read_periods
from tests.invoices.lives import BEGIN, MONTH_1, Life
from tests.support.calls import STRIPE, hook

if TYPE_CHECKING:
    from programs.local.stack import Stack

AT_3 = timedelta(minutes=3)


@pytest.fixture
def life(stack: Stack) -> Life:
    """Return a life with usage whose first period is about to end at 10:03."""
    life = Life(stack, BEGIN + AT_3)
    life.count(100, BEGIN + AT_3)
    life.go_to(MONTH_1 + timedelta(minutes=2))
    return life


def draft_of(life: Life) -> Any:
    (invoice,) = life.stack.simulator.account.invoices.objects.values()
    return invoice


def test_a_draft_waits_90_minutes_after_the_hour_in_which_its_period_ends(life: Life) -> None:
    life.go_to(MONTH_1 + timedelta(minutes=10))

    assert from_unix(draft_of(life)["automatically_finalizes_at"]) == MONTH_1 + HOUR + timedelta(minutes=90)
    assert draft_of(life)["auto_advance"] is True


def test_it_costs_one_call_to_stripe_and_a_second_delivery_none(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    life.stack.simulator.clock.set(MONTH_1 + timedelta(minutes=10))
    waiting = life.stack.simulator.webhooks.take()
    created = [each for each in waiting if each.event_type == "invoice.created"]
    life.stack.deliver_all([each for each in waiting if each not in created])
    calls = hook(monkeypatch)
    for deliveries in (created, created):
        with calls.watched() as names:
            (response,) = life.stack.deliver_all(deliveries)
        # And one for the price of its line, once a process.
        assert names.count(STRIPE) == (1 + 1 if response.outcome == "processed" else 0)


def test_a_draft_waits_longer_while_hours_are_due_72_hours_at_most(life: Life) -> None:
    life.go_to(MONTH_1 + timedelta(minutes=10))
    rule = life.stack.simulator.faults.add("http_500", path="/v1/billing/meter_events")
    life.count(7, BEGIN + 5 * HOUR)
    life.go_to(MONTH_1 + 20 * HOUR)
    assert from_unix(draft_of(life)["automatically_finalizes_at"]) > MONTH_1 + 20 * HOUR
    life.go_to(MONTH_1 + 80 * HOUR)
    life.stack.simulator.faults.rules.remove(rule)

    assert from_unix(draft_of(life)["status_transitions"]["finalized_at"]) == MONTH_1 + AT_3 + 72 * HOUR
    assert (life.invoiced(), life.counted) == (100, 107)


def test_a_draft_whose_hours_arrive_in_time_is_complete(life: Life) -> None:
    life.go_to(MONTH_1 + timedelta(minutes=10))
    rule = life.stack.simulator.faults.add("http_500", path="/v1/billing/meter_events")
    life.count(7, BEGIN + 5 * HOUR)
    life.go_to(MONTH_1 + 9 * HOUR)
    life.stack.simulator.faults.rules.remove(rule)
    life.go_to(MONTH_1 + 20 * HOUR)

    assert (life.invoiced(), life.counted) == (107, 107)


def test_a_grace_period_of_the_account_is_not_shortened(life: Life) -> None:
    life.stack.simulator.settings.update({"invoice_draft_seconds": 72 * 3600})
    life.go_to(MONTH_1 + timedelta(minutes=10))

    assert from_unix(draft_of(life)["automatically_finalizes_at"]) == MONTH_1 + AT_3 + 72 * HOUR
    assert read_periods("acme")[0].finalizes_at == MONTH_1 + AT_3 + 72 * HOUR


def test_a_late_webhook_moves_nothing_back(life: Life) -> None:
    life.stack.simulator.clock.set(MONTH_1 + timedelta(minutes=10))
    created = [each for each in life.stack.simulator.webhooks.take() if each.event_type == "invoice.created"]
    life.go_to(MONTH_1 + 30 * HOUR)
    life.stack.deliver_all(created)

    assert read_periods("acme")[0].state == "closed"
    assert life.invoiced() == 100
    assert clock.utc_now() == MONTH_1 + 30 * HOUR


def test_another_products_invoice_costs_no_call(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(stack, BEGIN)
    calls = hook(monkeypatch)
    stack.simulator.account.observers.clear()  # no whole invoice
    stack.simulator.account.events.emit(
        "invoice.created",
        {
            "id": "in_other",
            "object": "invoice",
            "customer": life.customer_id,
            "billing_reason": "subscription_cycle",
            "parent": {"subscription_details": {"subscription": "sub_other", "metadata": {}}},
        },
    )
    with calls.watched() as names:
        responses = stack.deliver_all()

    assert {response.outcome for response in responses} == {"ignored"}
    assert STRIPE not in names
