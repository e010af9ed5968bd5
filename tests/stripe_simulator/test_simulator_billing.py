"""Customers, prices, checkout, subscriptions and invoices behave as stripe-facts.md says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.conftest import HOUR, NOON

pytestmark = pytest.mark.enable_socket

Subscribe = Callable[..., Any]
MONTH_END = 1_798_027_200  # 2026-12-23T12:00:00Z


def event_types(simulator: Simulator) -> list[str]:
    return [event["type"] for event in simulator.account.events.objects.values()]


# --- customers


def test_customers_are_created_changed_listed_and_deleted(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create({"name": "One", "metadata": {"organization_id": "org_1", "old": "1"}})
    changed = client.v1.customers.update(made.id, {"metadata": {"old": "", "new": "2"}, "email": "b@example.com"})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"organization_id": "org_1", "new": "2"}
    assert [one.id for one in client.v1.customers.list({"email": "b@example.com"}).data] == [made.id]
    assert client.v1.customers.delete(made.id).deleted is True
    assert client.v1.customers.retrieve(made.id).deleted is True
    assert client.v1.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve("cus_unknown")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_search_finds_customers_by_metadata_after_its_lag(client: stripe.StripeClient, simulator: Simulator) -> None:
    simulator.settings.search_lag_seconds = 60
    made = client.v1.customers.create({"metadata": {"organization_id": "org_1"}})
    query: Any = {"query": "metadata['organization_id']:'org_1'"}
    assert client.v1.customers.search(query).data == []
    simulator.clock.advance(60)
    assert [one.id for one in client.v1.customers.search(query).data] == [made.id]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.customers.search({"query": "anything"})


def test_lists_page_newest_first_with_cursors(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": str(number)}).id for number in range(25)]
    assert [one.id for one in client.v1.customers.list().data] == made[:14:-1]
    assert [one.id for one in client.v1.customers.list({"limit": 7}).auto_paging_iter()] == made[::-1]
    before = client.v1.customers.list({"limit": 3, "ending_before": made[0]})
    assert [one.id for one in before.data] == made[3:0:-1]


# --- prices


def test_a_metered_price_carries_its_meter_and_lookup_key(client: stripe.StripeClient, price: Any) -> None:
    assert price.recurring.usage_type == "metered"
    assert price.recurring.meter.startswith("mtr_")
    assert (price.unit_amount, str(price.unit_amount_decimal)) == (None, "0.5")
    params: Any = {"lookup_keys": ["readings"], "expand": ["data.product"]}
    found: Any = client.v1.prices.list(params).data[0]
    assert (found.id, found.product.name) == (price.id, "Readings")


def test_a_lookup_key_is_moved_only_on_request(client: stripe.StripeClient, price: Any) -> None:
    params: Any = {"currency": "usd", "unit_amount": 1, "product": price.product, "lookup_key": "readings"}
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        client.v1.prices.create(params)
    moved = client.v1.prices.create(params | {"transfer_lookup_key": True})
    assert moved.lookup_key == "readings"
    assert client.v1.prices.retrieve(price.id).lookup_key is None


def test_a_metered_price_needs_a_meter_that_exists(client: stripe.StripeClient) -> None:
    product = client.v1.products.create({"name": "x"}).id
    for recurring in ({"usage_type": "metered"}, {"usage_type": "metered", "meter": "mtr_x"}):
        params: Any = {
            "currency": "usd",
            "unit_amount": 1,
            "product": product,
            "recurring": {"interval": "month", **recurring},
        }
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.prices.create(params)


# --- checkout


def test_a_completed_checkout_makes_customer_subscription_and_invoice(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe
) -> None:
    session = subscribe("org_1")
    assert (session.status, session.payment_status, session.client_reference_id) == ("complete", "paid", "org_1")
    subscription = client.v1.subscriptions.retrieve(session.subscription)
    assert subscription.status == "active"
    assert subscription.metadata.to_dict() == {"organization_id": "org_1"}
    assert subscription.customer == session.customer
    assert not hasattr(subscription, "current_period_end")
    item = subscription["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (NOON, MONTH_END)
    made = event_types(simulator)[-6:]
    assert made == [
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ]
    assert {event["created"] for event in simulator.account.events.objects.values()} == {NOON}


def test_a_checkout_uses_the_customer_it_was_given(
    client: stripe.StripeClient, subscribe: Subscribe, customer: str
) -> None:
    assert subscribe("org_1", customer=customer).customer == customer
    assert len(client.v1.customers.list().data) == 1


def test_a_checkout_expires_by_request_or_after_a_day(
    client: stripe.StripeClient, simulator: Simulator, price: Any
) -> None:
    params: Any = {"mode": "subscription", "line_items": [{"price": price.id}], "success_url": "https://e.com"}
    asked, forgotten = (client.v1.checkout.sessions.create(params) for _ in range(2))
    assert client.v1.checkout.sessions.expire(asked.id).status == "expired"
    simulator.clock.advance(24 * HOUR)
    assert client.v1.checkout.sessions.retrieve(forgotten.id).status == "expired"
    assert event_types(simulator).count("checkout.session.expired") == 2
    assert len(client.v1.checkout.sessions.list({"status": "expired"}).data) == 2
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.expire(asked.id)


def test_a_checkout_refuses_a_quantity_for_metered_prices(client: stripe.StripeClient, price: Any) -> None:
    params: Any = {"mode": "subscription", "line_items": [{"price": price.id, "quantity": 1}]}
    with pytest.raises(stripe.InvalidRequestError, match="Quantity should not be specified"):
        client.v1.checkout.sessions.create(params)


def test_a_portal_session_has_a_url_and_the_default_configuration(client: stripe.StripeClient, customer: str) -> None:
    session = client.v1.billing_portal.sessions.create({"customer": customer, "return_url": "https://e.com"})
    assert session.url.startswith("http")
    (configuration,) = client.v1.billing_portal.configurations.list().data
    assert (session.configuration, configuration.is_default) == (configuration.id, True)


# --- subscriptions


def test_retrieve_expands_along_paths(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    session = subscribe()
    subscription: Any = client.v1.subscriptions.retrieve(
        session.subscription, {"expand": ["customer.subscriptions", "latest_invoice", "items.data.price.product"]}
    )
    assert subscription.customer.id == session.customer
    assert subscription.customer.subscriptions.data[0].id == subscription.id
    invoice = subscription.latest_invoice
    assert invoice.parent.subscription_details.subscription == subscription.id
    assert not hasattr(invoice, "subscription")
    assert subscription["items"].data[0].price.product.name == "Readings"


def test_list_filters_by_customer_and_status(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    first, second = subscribe("org_1"), subscribe("org_2")
    client.v1.subscriptions.cancel(first.subscription)

    def listed(**params: Any) -> list[str]:
        return [one.id for one in client.v1.subscriptions.list(params).data]  # type: ignore[arg-type]

    assert listed() == [second.subscription]
    assert listed(status="all") == [second.subscription, first.subscription]
    assert listed(status="canceled") == [first.subscription]
    assert listed(customer=first.customer) == []
    assert listed(customer=first.customer, status="all", limit=1) == [first.subscription]
    assert listed(status="all", starting_after=second.subscription) == [first.subscription]


def test_updates_emit_what_changed(client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe) -> None:
    session = subscribe()
    changed = client.v1.subscriptions.update(
        session.subscription, {"cancel_at_period_end": True, "metadata": {"plan": "a"}}
    )
    assert (changed.cancel_at_period_end, changed.cancel_at) == (True, MONTH_END)
    paused = client.v1.subscriptions.update(session.subscription, {"pause_collection": {"behavior": "void"}})
    assert paused.pause_collection is not None
    assert client.v1.subscriptions.update(session.subscription, {"pause_collection": ""}).pause_collection is None
    events = client.v1.events.list({"type": "customer.subscription.updated"}).data
    assert len(events) == 3
    assert events[2].data.previous_attributes["cancel_at_period_end"] is False  # type: ignore[index]


def test_a_cancelled_subscription_stays_retrievable(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe
) -> None:
    session = subscribe()
    simulator.clock.advance(60)
    cancelled = client.v1.subscriptions.cancel(session.subscription)
    assert (cancelled.status, cancelled.ended_at) == ("canceled", NOON + 60)
    assert event_types(simulator)[-1] == "customer.subscription.deleted"
    assert client.v1.subscriptions.retrieve(session.subscription).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.subscriptions.cancel(session.subscription)


def test_pause_and_resume_have_events_of_their_own(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe
) -> None:
    session = subscribe()
    simulator.account.subscriptions.pause(session.subscription)
    assert client.v1.subscriptions.retrieve(session.subscription).status == "paused"
    assert client.v1.subscriptions.resume(session.subscription).status == "active"
    assert {"customer.subscription.paused", "customer.subscription.resumed"} <= set(event_types(simulator))


def test_deleting_a_customer_cancels_its_subscriptions(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe
) -> None:
    session = subscribe()
    simulator.account.customers.delete(session.customer)
    assert client.v1.subscriptions.retrieve(session.subscription).status == "canceled"
    assert event_types(simulator)[-2:] == ["customer.subscription.deleted", "customer.deleted"]


def test_a_status_can_be_set_silently(client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe) -> None:
    session = subscribe()
    count = len(event_types(simulator))
    simulator.account.subscriptions.set_status(session.subscription, "unpaid", emit=False)
    assert client.v1.subscriptions.retrieve(session.subscription).status == "unpaid"
    assert len(event_types(simulator)) == count
    with pytest.raises(ValueError, match="no subscription status"):
        simulator.account.subscriptions.set_status(session.subscription, "sleeping")


# --- invoices and periods


def test_a_period_ends_in_an_invoice_that_still_takes_usage_for_an_hour(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, send: Callable[..., Any]
) -> None:
    session = subscribe()
    simulator.clock.set(MONTH_END - HOUR)
    send(session.customer, 101, MONTH_END - HOUR)
    simulator.clock.set(MONTH_END + 10)
    (invoice, _) = client.v1.invoices.list({"customer": session.customer}).data
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
    assert list(simulator.account.invoices.billed_quantities(session.customer, "readings").values()) == [0, 201]
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
    (invoice, _) = client.v1.invoices.list({"subscription": session.subscription}).data
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
    assert list(simulator.account.invoices.billed_quantities(session.customer, "readings").values()) == [0, 10]


def test_a_moved_clock_renews_period_after_period_at_their_own_times(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe
) -> None:
    session = subscribe()
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
    assert len(client.v1.invoices.list().data) == 1
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


def test_usage_in_a_trial_costs_nothing(
    client: stripe.StripeClient, simulator: Simulator, price: Any, customer: str, send: Callable[..., Any]
) -> None:
    params: Any = {"customer": customer, "items": [{"price": price.id}], "trial_period_days": 7}
    subscription = client.v1.subscriptions.create(params)
    assert subscription.status == "trialing"
    send(customer, 1000, NOON)
    simulator.clock.advance(7 * 24 * HOUR + 2 * HOUR)
    assert client.v1.subscriptions.retrieve(subscription.id).status == "active"
    (invoice, _) = client.v1.invoices.list({"customer": customer}).data
    assert (invoice.status, invoice.total) == ("paid", 0)


def test_the_last_item_of_a_subscription_cannot_be_removed(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    session = subscribe()
    item = client.v1.subscriptions.retrieve(session.subscription)["items"].data[0]
    with pytest.raises(stripe.InvalidRequestError, match="at least one"):
        client.v1.subscriptions.update(session.subscription, {"items": [{"id": item.id, "deleted": True}]})
