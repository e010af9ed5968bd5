"""Invoices: what a period bills, when it is final, and whether it is paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.calls import event_types
from tests.stripe_simulator.moments import HOUR, MONTH_END, NOON

pytestmark = pytest.mark.enable_socket

Subscribe = Callable[..., Any]


def test_a_period_ends_in_an_invoice_that_still_takes_usage_for_an_hour(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, send: Callable[..., Any]
) -> None:
    session = subscribe()
    simulator.clock.set(MONTH_END - HOUR)
    send(session.customer, 101, MONTH_END - HOUR)
    simulator.clock.set(MONTH_END + 10)
    (invoice,) = client.v1.invoices.list({"customer": session.customer}).data
    assert (invoice.status, invoice.period_start, invoice.period_end) == ("draft", NOON, MONTH_END)
    assert (invoice.lines.data[0].quantity, invoice.amount_due) == (101, 51)
    item = client.v1.subscriptions.retrieve(session.subscription)["items"].data[0]
    assert item.current_period_start == MONTH_END
    send(session.customer, 201, MONTH_END - HOUR)
    simulator.clock.advance(HOUR)
    invoice = client.v1.invoices.retrieve(invoice.id)
    assert (invoice.status, invoice.amount_paid, invoice.lines.data[0].quantity) == ("paid", 101, 201)
    send(session.customer, 999, MONTH_END - HOUR)
    assert client.v1.invoices.retrieve(invoice.id).lines.data[0].quantity == 201
    assert list(simulator.account.invoices.billed_quantities(session.customer, "readings").values()) == [201]
    assert simulator.account.billed(session.customer, "readings", NOON, MONTH_END) == 999


def test_a_failed_payment_makes_the_subscription_past_due_until_it_is_paid(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, send: Callable[..., Any]
) -> None:
    session = subscribe()
    send(session.customer, 1000, NOON)
    simulator.account.customers.set_payment_outcome(session.customer, "payment_failed")
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert client.v1.subscriptions.retrieve(session.subscription).status == "past_due"
    assert "invoice.payment_failed" in event_types(simulator)
    (invoice,) = client.v1.invoices.list({"subscription": session.subscription}).data
    with pytest.raises(stripe.CardError):
        client.v1.invoices.pay(invoice.id)
    simulator.account.customers.set_payment_outcome(session.customer, "paid")
    assert client.v1.invoices.pay(invoice.id).status == "paid"
    assert client.v1.subscriptions.retrieve(session.subscription).status == "active"


def test_a_subscription_that_cancels_at_period_end_is_billed_and_ends(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, send: Callable[..., Any]
) -> None:
    session = subscribe()
    send(session.customer, 10, NOON)
    client.v1.subscriptions.update(session.subscription, {"cancel_at_period_end": True})
    simulator.clock.set(MONTH_END + 2 * HOUR)
    ended = client.v1.subscriptions.retrieve(session.subscription)
    assert (ended.status, ended.ended_at) == ("canceled", MONTH_END)
    assert list(simulator.account.invoices.billed_quantities(session.customer, "readings").values()) == [10]


def test_a_moved_clock_renews_period_after_period_at_their_own_times(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, seat: Any
) -> None:
    session = subscribe(line_items=[{"price": seat.id, "quantity": 1}])
    simulator.clock.advance(100 * 24 * HOUR)
    item = client.v1.subscriptions.retrieve(session.subscription)["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (1_803_384_000, 1_805_803_200)
    invoices = client.v1.invoices.list({"customer": session.customer}).data
    assert [one.created for one in invoices] == [1_803_384_000, 1_800_705_600, MONTH_END, NOON]


def test_a_preview_shows_the_current_period_and_leaves_no_trace(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, send: Callable[..., Any]
) -> None:
    session = subscribe()
    send(session.customer, 41, NOON)
    count = len(event_types(simulator))
    preview = client.v1.invoices.create_preview({"subscription": session.subscription})
    assert (preview.total, preview.lines.data[0].quantity) == (21, 41)
    assert preview.lines.data[0].pricing is not None
    assert client.v1.invoices.list().data == []
    assert len(event_types(simulator)) == count
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.invoices.create_preview({"customer": client.v1.customers.create().id})
    assert caught.value.code == "invoice_upcoming_none"


def test_a_first_payment_that_fails_leaves_the_subscription_incomplete_for_23_hours(
    client: stripe.StripeClient, simulator: Simulator, customer: str
) -> None:
    price = client.v1.prices.create(
        {"currency": "usd", "unit_amount": 500, "recurring": {"interval": "month"}, "product_data": {"name": "Seat"}}
    )
    simulator.account.customers.set_payment_outcome(customer, "payment_failed")
    params: Any = {"customer": customer, "items": [{"price": price.id, "quantity": 2}]}
    first, second = (client.v1.subscriptions.create(params) for _ in range(2))
    assert first.status == "incomplete"
    assert event_types(simulator)[-1] == "invoice.payment_failed"
    simulator.account.customers.set_payment_outcome(customer, "paid")
    assert client.v1.invoices.pay(str(first.latest_invoice)).amount_paid == 1000
    simulator.clock.advance(23 * HOUR)
    assert client.v1.subscriptions.retrieve(first.id).status == "active"
    assert client.v1.subscriptions.retrieve(second.id).status == "incomplete_expired"


def test_a_period_without_usage_makes_no_invoice_and_no_line_of_nothing_is_on_one(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, price: Any, seat: Any
) -> None:
    metered = subscribe("org_1")
    both = subscribe("org_2", line_items=[{"price": price.id}, {"price": seat.id, "quantity": 1}])
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert client.v1.invoices.list({"customer": metered.customer}).data == []
    assert client.v1.subscriptions.retrieve(metered.subscription).latest_invoice is None
    invoices = client.v1.invoices.list({"customer": both.customer}).data
    assert [[line.amount for line in invoice.lines.data] for invoice in invoices] == [[500], [500]]


@pytest.mark.parametrize("collection_only", [True, False])
def test_a_pause_bills_the_usage_until_then_and_the_period_s_end_the_rest(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscribe: Subscribe,
    send: Callable[..., Any],
    collection_only: bool,
) -> None:
    session = subscribe()
    send(session.customer, 10, NOON)
    simulator.clock.advance(3 * HOUR)
    if collection_only:
        client.v1.subscriptions.update(session.subscription, {"pause_collection": {"behavior": "void"}})
    else:
        client.v1.subscriptions.pause(session.subscription)
    (invoice,) = client.v1.invoices.list({"customer": session.customer}).data
    assert (invoice.billing_reason, invoice.period_start, invoice.period_end) == (
        "subscription_update",
        NOON,
        NOON + 3 * HOUR,
    )
    assert client.v1.subscriptions.retrieve(session.subscription).latest_invoice == invoice.id
    assert invoice.automatically_finalizes_at == NOON + 4 * HOUR
    simulator.clock.advance(2 * HOUR)
    assert client.v1.invoices.retrieve(invoice.id).status == "paid"
    send(session.customer, 7, NOON + 4 * HOUR)
    simulator.clock.set(MONTH_END + 2 * HOUR)
    billed = list(simulator.account.invoices.billed_quantities(session.customer, "readings").values())
    assert billed == ([10, 7] if collection_only else [10])
    newest = client.v1.invoices.list({"customer": session.customer}).data[0]
    assert newest.status == ("void" if collection_only else "paid")


def test_a_pause_can_leave_out_the_usage_and_bills_no_seat(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscribe: Subscribe,
    send: Callable[..., Any],
    price: Any,
    seat: Any,
) -> None:
    session = subscribe("org_1", line_items=[{"price": price.id}, {"price": seat.id, "quantity": 1}])
    send(session.customer, 10, NOON)
    simulator.clock.advance(HOUR)
    client.v1.subscriptions.pause(session.subscription, {"bill_for": {"outstanding_usage_through": {"type": "none"}}})
    assert len(client.v1.invoices.list({"customer": session.customer}).data) == 1
    client.v1.subscriptions.resume(session.subscription)
    send(session.customer, 7, NOON + HOUR)
    simulator.clock.advance(HOUR)
    client.v1.subscriptions.pause(session.subscription)
    newest = client.v1.invoices.list({"customer": session.customer}).data[0]
    assert [line.quantity for line in newest.lines.data] == [7]


def test_usage_in_a_trial_costs_nothing(
    client: stripe.StripeClient, simulator: Simulator, price: Any, customer: str, send: Callable[..., Any]
) -> None:
    params: Any = {"customer": customer, "items": [{"price": price.id}], "trial_period_days": 7}
    subscription = client.v1.subscriptions.create(params)
    assert subscription.status == "trialing"
    send(customer, 1000, NOON)
    simulator.clock.advance(7 * 24 * HOUR + 2 * HOUR)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "active"
    (invoice,) = client.v1.invoices.list({"customer": customer}).data
    assert (invoice.status, invoice.total) == ("paid", 0)


def test_a_preview_finds_a_subscription_that_is_older_than_a_hundred_others(
    client: stripe.StripeClient, simulator: Simulator, price: Any, customer: str
) -> None:
    params: dict[str, Any] = {"customer": customer, "items": [{"price": price.id}]}
    oldest, *_ = [simulator.account.subscriptions.create(params) for _ in range(101)]
    preview = client.v1.invoices.create_preview({"subscription": oldest["id"]})
    assert preview.parent is not None
    assert preview.parent.subscription_details is not None
    assert preview.parent.subscription_details.subscription == oldest["id"]


def test_the_hosted_page_of_an_invoice_shows_its_lines(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, seat: Any
) -> None:
    session = subscribe(line_items=[{"price": seat.id, "quantity": 1}])
    invoice = client.v1.invoices.retrieve(session.invoice)
    assert invoice.hosted_invoice_url is not None
    with urlopen(invoice.hosted_invoice_url, timeout=5) as response:
        page = response.read().decode()
    assert invoice.number is not None
    assert invoice.number in page
    assert page.count("<li>") == 1
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{simulator.base_url}/_simulator/invoices/in_none", timeout=5)
