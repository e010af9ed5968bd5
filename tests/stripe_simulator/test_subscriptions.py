"""Subscriptions: read, changed, paused, cancelled, and damaged on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.calls import event_types
from tests.stripe_simulator.moments import MONTH_END, NOON

pytestmark = pytest.mark.enable_socket

Subscribe = Callable[..., Any]


def test_retrieve_expands_along_paths(client: stripe.StripeClient, subscribe: Subscribe, price: Any, seat: Any) -> None:
    session = subscribe(line_items=[{"price": price.id}, {"price": seat.id, "quantity": 1}])
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


def test_the_last_item_of_a_subscription_cannot_be_removed(client: stripe.StripeClient, subscribe: Subscribe) -> None:
    session = subscribe()
    item = client.v1.subscriptions.retrieve(session.subscription)["items"].data[0]
    with pytest.raises(stripe.InvalidRequestError, match="at least one"):
        client.v1.subscriptions.update(session.subscription, {"items": [{"id": item.id, "deleted": True}]})
