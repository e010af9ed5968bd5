"""Items that are added, removed or repriced within a period, and subscriptions that end at once: whose usage is billed.

https://docs.stripe.com/billing/subscriptions/usage-based/manage-billing-setup, of flexible billing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.calls import event_types
from tests.stripe_simulator.moments import HOUR, MONTH_END, NOON

pytestmark = pytest.mark.enable_socket
CHANGED = NOON + 24 * HOUR


@pytest.fixture
def dearer(client: stripe.StripeClient, price: Any) -> Any:
    """Return a monthly price of 2 cents a reading, on the same meter."""
    recurring: Any = {"interval": "month", "usage_type": "metered", "meter": price.recurring.meter}
    return client.v1.prices.create(
        {"currency": "usd", "unit_amount": 2, "recurring": recurring, "product": price.product}
    )


@pytest.fixture
def subscription(client: stripe.StripeClient, price: Any, customer: str) -> Any:
    return client.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})


@pytest.fixture
def change(client: stripe.StripeClient, simulator: Simulator, subscription: Any) -> Callable[..., Any]:
    """Return a function that changes the subscription's items a day after its start."""

    def change(*items: Any, **params: Any) -> Any:
        simulator.clock.set(CHANGED)
        asked: Any = {"items": list(items), **params}
        return client.v1.subscriptions.update(subscription.id, asked)

    return change


def lines(client: stripe.StripeClient, position: int = 0) -> list[tuple[Any, ...]]:
    """Return quantity, amount and period of the lines of an invoice, counted from the newest."""
    invoice = client.v1.invoices.list().data[position]
    return [(line.quantity, line.amount, line.period.start, line.period.end) for line in invoice.lines.data]


def item_id(subscription: Any) -> str:
    return str(subscription["items"].data[0].id)


def test_a_price_that_changes_makes_two_lines_each_with_its_time_and_price(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscription: Any,
    change: Callable[..., Any],
    dearer: Any,
    price: Any,
    send: Callable[..., Any],
) -> None:
    send(subscription.customer, 100)
    change({"id": item_id(subscription), "price": dearer.id})
    assert client.v1.invoices.list().data == []
    send(subscription.customer, 7, CHANGED)
    expected = [(100, 50, NOON, CHANGED), (7, 14, CHANGED, MONTH_END)]
    preview = client.v1.invoices.create_preview({"subscription": subscription.id})
    assert (preview.total, len(preview.lines.data)) == (64, 2)
    # Too late for the old price, too early for the new one.
    send(subscription.customer, 1, CHANGED - HOUR)
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert lines(client) == expected
    (invoice,) = client.v1.invoices.list().data
    old, new = invoice.lines.data
    assert old.parent is not None
    assert new.parent is not None
    assert (old.parent.type, new.parent.type) == ("invoice_item_details", "subscription_item_details")
    assert [line.pricing.price_details.price for line in (old, new)] == [price.id, dearer.id]  # type: ignore[union-attr]
    assert old.id != new.id
    assert simulator.account.invoices.billed(subscription.customer, "readings") == 107
    send(subscription.customer, 9, MONTH_END)
    simulator.clock.set(MONTH_END + 33 * 24 * HOUR)
    assert [line[:2] for line in lines(client)] == [(9, 18)]


def test_what_waits_for_the_invoice_is_on_it_newest_first(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscription: Any,
    change: Callable[..., Any],
    dearer: Any,
    price: Any,
    send: Callable[..., Any],
) -> None:
    send(subscription.customer, 100)
    change({"id": item_id(subscription), "price": dearer.id})
    send(subscription.customer, 7, CHANGED)
    simulator.clock.advance(HOUR)
    client.v1.subscriptions.update(subscription.id, {"items": [{"id": item_id(subscription), "price": price.id}]})
    send(subscription.customer, 20, CHANGED + HOUR)
    simulator.clock.set(MONTH_END + 2 * HOUR)
    again = CHANGED + HOUR
    assert lines(client) == [(7, 14, CHANGED, again), (100, 50, NOON, CHANGED), (20, 10, again, MONTH_END)]


def test_the_same_price_again_changes_nothing(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscription: Any,
    change: Callable[..., Any],
    price: Any,
    send: Callable[..., Any],
) -> None:
    send(subscription.customer, 100)
    change({"id": item_id(subscription), "price": price.id}, proration_behavior="always_invoice")
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert lines(client) == [(100, 50, NOON, MONTH_END)]


def test_an_item_is_swapped_for_another_in_one_call(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscription: Any,
    change: Callable[..., Any],
    dearer: Any,
    send: Callable[..., Any],
) -> None:
    send(subscription.customer, 100)
    change({"id": item_id(subscription), "deleted": True}, {"price": dearer.id})
    send(subscription.customer, 7, CHANGED)
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert lines(client) == [(100, 50, NOON, CHANGED), (7, 14, CHANGED, MONTH_END)]
    assert simulator.account.invoices.is_final(subscription.customer, NOON)


@pytest.mark.parametrize(
    ("proration", "at_once", "with_the_period"),
    [
        ("create_prorations", [], [(100, 50, NOON, CHANGED)]),
        ("always_invoice", [(100, 50, NOON, CHANGED)], []),
        ("none", [], []),
    ],
)
def test_the_usage_of_an_item_that_is_removed(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscription: Any,
    change: Callable[..., Any],
    seat: Any,
    send: Callable[..., Any],
    proration: Any,
    at_once: list[Any],
    with_the_period: list[Any],
) -> None:
    send(subscription.customer, 100)
    change({"price": seat.id}, {"id": item_id(subscription), "deleted": True}, proration_behavior=proration)
    invoices = client.v1.invoices.list().data
    assert [(one.status, one.billing_reason) for one in invoices] == [("paid", "subscription_update")] * len(at_once)
    assert (lines(client) if invoices else []) == at_once
    send(subscription.customer, 50, CHANGED)
    simulator.clock.set(MONTH_END + 2 * HOUR)
    *usage, of_the_seat = lines(client)
    assert (usage, of_the_seat[:2]) == (with_the_period, (1, 500))


def test_an_item_that_is_added_bills_from_then_on_and_takes_nothing_from_the_others(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscription: Any,
    change: Callable[..., Any],
    make_meter: Callable[..., Any],
    send: Callable[..., Any],
) -> None:
    other = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 1,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": make_meter("writings").id},
            "product_data": {"name": "Writings"},
        }
    )
    for name in ("readings", "writings"):
        send(subscription.customer, 10, NOON, event_name=name)
    change({"price": other.id})
    send(subscription.customer, 4, CHANGED, event_name="writings")
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert lines(client) == [(10, 5, NOON, MONTH_END), (4, 4, CHANGED, MONTH_END)]


def test_a_draft_keeps_the_prices_of_its_period(
    client: stripe.StripeClient, simulator: Simulator, subscription: Any, dearer: Any, send: Callable[..., Any]
) -> None:
    send(subscription.customer, 100)
    simulator.clock.set(MONTH_END + 60)
    client.v1.subscriptions.update(subscription.id, {"items": [{"id": item_id(subscription), "price": dearer.id}]})
    send(subscription.customer, 110)
    simulator.clock.advance(HOUR)
    assert lines(client) == [(110, 55, NOON, MONTH_END)]


def test_a_change_in_a_trial_bills_nothing(
    client: stripe.StripeClient, simulator: Simulator, customer: str, price: Any, dearer: Any, send: Callable[..., Any]
) -> None:
    trial = client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price.id}], "trial_period_days": 7}
    )
    send(customer, 100)
    simulator.clock.advance(24 * HOUR)
    client.v1.subscriptions.update(trial.id, {"items": [{"id": item_id(trial), "price": dearer.id}]})
    simulator.clock.advance(8 * 24 * HOUR)
    assert client.v1.invoices.list().data == []


@pytest.mark.parametrize("invoice_now", [False, True])
def test_a_subscription_that_is_ended_at_once_bills_its_usage_where_it_is_asked_to(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscription: Any,
    change: Callable[..., Any],
    dearer: Any,
    send: Callable[..., Any],
    invoice_now: bool,
) -> None:
    send(subscription.customer, 100)
    change({"id": item_id(subscription), "price": dearer.id})
    simulator.clock.advance(HOUR)
    send(subscription.customer, 7, CHANGED)
    client.v1.subscriptions.cancel(subscription.id, {"invoice_now": True} if invoice_now else {})
    if invoice_now:
        (draft,) = client.v1.invoices.list().data
        assert (draft.status, draft.automatically_finalizes_at) == ("draft", CHANGED + 2 * HOUR)
        assert event_types(simulator)[-2:] == ["invoice.created", "customer.subscription.deleted"]
        send(subscription.customer, 9, CHANGED + HOUR - 1)
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert [(one.status, one.total) for one in client.v1.invoices.list().data] == (
        [("paid", 68)] if invoice_now else []
    )
    if invoice_now:
        assert lines(client) == [(100, 50, NOON, CHANGED), (9, 18, CHANGED, CHANGED + HOUR)]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_subscription_that_ends_pays_no_coming_month(
    client: stripe.StripeClient, simulator: Simulator, customer: str, price: Any, seat: Any, at_once: bool
) -> None:
    subscription = client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price.id}, {"price": seat.id}]}
    )
    if at_once:
        client.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
    else:
        client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert [one.total for one in client.v1.invoices.list().data] == [500]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_trial_that_ends_with_its_subscription_costs_nothing(
    client: stripe.StripeClient,
    simulator: Simulator,
    customer: str,
    price: Any,
    send: Callable[..., Any],
    at_once: bool,
) -> None:
    trial = client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price.id}], "trial_period_days": 7}
    )
    send(customer, 1000)
    simulator.clock.advance(HOUR)
    if at_once:
        client.v1.subscriptions.cancel(trial.id, {"invoice_now": True})
    else:
        client.v1.subscriptions.update(trial.id, {"cancel_at_period_end": True})
    simulator.clock.advance(8 * 24 * HOUR)
    assert client.v1.subscriptions.retrieve(trial.id).status == "canceled"
    assert [line[:2] for line in lines(client)] == [(1000, 0)]
