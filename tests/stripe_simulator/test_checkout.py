"""Checkout sessions, by API and by page, and the customer portal."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.calls import event_types
from tests.stripe_simulator.moments import HOUR, MONTH_END, NOON

pytestmark = pytest.mark.enable_socket

Subscribe = Callable[..., Any]


def test_a_completed_checkout_makes_customer_subscription_and_invoice(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe, seat: Any
) -> None:
    session = subscribe("org_1", line_items=[{"price": seat.id, "quantity": 1}])
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


def test_a_checkout_of_metered_prices_alone_makes_no_invoice(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Subscribe
) -> None:
    session = subscribe()
    assert session.invoice is None
    assert client.v1.subscriptions.retrieve(session.subscription).latest_invoice is None
    assert client.v1.invoices.list().data == []
    assert event_types(simulator)[-2:] == ["customer.subscription.created", "checkout.session.completed"]


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


def test_a_person_can_pay_on_the_checkout_page(client: stripe.StripeClient, simulator: Simulator, price: Any) -> None:
    params: Any = {"mode": "subscription", "line_items": [{"price": price.id}]}
    params["success_url"] = "https://e.com/done?session={CHECKOUT_SESSION_ID}"
    session = client.v1.checkout.sessions.create(params)
    assert session.url is not None
    connection = http.client.HTTPConnection(simulator.base_url.removeprefix("http://"), timeout=5)
    path = session.url.removeprefix(simulator.base_url)
    connection.request("GET", path)
    assert b"Pay" in connection.getresponse().read()
    connection.request("POST", path)
    response = connection.getresponse()
    assert (response.status, response.headers["Location"]) == (303, f"https://e.com/done?session={session.id}")
    connection.close()
    assert client.v1.checkout.sessions.retrieve(session.id).status == "complete"


def test_a_portal_session_has_a_url_and_the_default_configuration(client: stripe.StripeClient, customer: str) -> None:
    session = client.v1.billing_portal.sessions.create({"customer": customer, "return_url": "https://e.com"})
    assert session.url.startswith("http")
    (configuration,) = client.v1.billing_portal.configurations.list().data
    assert (session.configuration, configuration.is_default) == (configuration.id, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"locale": "xx"}, "Invalid locale"),
        ({"billing_address_collection": "never"}, "Invalid billing_address_collection"),
        ({"tax_id_collection": {"enabled": True}}, r"customer_update\[name\]"),
        ({"automatic_tax": {"enabled": True}}, r"customer_update\[address\]"),
        ({"subscription_data": {"trial_period_days": 731}}, "730 days"),
        ({"subscription_data": {"trial_period_days": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_checkout_refuses_what_stripe_refuses(
    client: stripe.StripeClient, price: Any, customer: str, changes: Any, message: str
) -> None:
    params: Any = {"mode": "subscription", "line_items": [{"price": price.id}], "customer": customer, **changes}
    with pytest.raises(stripe.InvalidRequestError, match=message):
        client.v1.checkout.sessions.create(params)


def test_a_checkout_may_change_only_a_customer_that_is_there(client: stripe.StripeClient, price: Any) -> None:
    params: Any = {"mode": "subscription", "line_items": [{"price": price.id}], "customer_update": {"name": "auto"}}
    with pytest.raises(stripe.InvalidRequestError, match="can only be used with `customer`"):
        client.v1.checkout.sessions.create(params)


def test_a_buyer_is_asked_for_a_payment_method_where_anything_is_due_now(
    simulator: Simulator, subscribe: Subscribe, seat: Any
) -> None:
    optional = {"payment_method_collection": "if_required"}
    paid = subscribe("org_1", line_items=[{"price": seat.id, "quantity": 1}], **optional)
    free = subscribe("org_2", **optional)
    customers = simulator.account.customers
    assert customers.has_payment_method(paid.customer)
    assert not customers.has_payment_method(free.customer)
