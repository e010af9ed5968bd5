"""Test clocks: some customers live by a time of their own, and the others do not notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import ApiError, Simulator
from tests.stripe_simulator.calls import event_types
from tests.stripe_simulator.moments import HOUR, MONTH_END, NOON

pytestmark = pytest.mark.enable_socket
DAY = 24 * HOUR
THEN = NOON - 100 * DAY


@pytest.fixture
def clock(client: stripe.StripeClient) -> str:
    """Return a test clock that stands a hundred days in the past."""
    return client.v1.test_helpers.test_clocks.create({"frozen_time": THEN, "name": "past"}).id


@pytest.fixture
def subscribed(client: stripe.StripeClient, clock: str, price: Any, seat: Any) -> Any:
    """Return a subscription to readings and a seat, of a customer of the clock."""
    customer = client.v1.customers.create({"test_clock": clock}).id
    return client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price.id}, {"price": seat.id, "quantity": 1}]}
    )


def advance(client: stripe.StripeClient, clock: str, to: int) -> None:
    moved = client.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
    assert moved.status == "advancing"
    assert moved.status_details.advancing is not None
    assert moved.status_details.advancing.target_frozen_time == to
    arrived = client.v1.test_helpers.test_clocks.retrieve(clock)
    assert (arrived.status, arrived.frozen_time) == ("ready", to)


def test_a_clock_renews_its_subscriptions_in_its_own_time(
    client: stripe.StripeClient, simulator: Simulator, clock: str, subscribed: Any, send: Callable[..., Any]
) -> None:
    assert (subscribed.test_clock, subscribed.created, subscribed.start_date) == (clock, THEN, THEN)
    end = subscribed["items"].data[0].current_period_end
    advance(client, clock, THEN + 2 * HOUR)
    send(subscribed.customer, 40, THEN + HOUR)
    advance(client, clock, end + HOUR // 2)
    first, second = client.v1.invoices.list({"customer": subscribed.customer}).data[::-1]
    assert (first.status, first.created, second.status, second.created) == ("paid", THEN, "draft", end)
    assert [line.quantity for line in second.lines.data] == [40, 1]
    simulator.clock.advance(3 * HOUR)
    assert client.v1.invoices.retrieve(second.id).status == "draft", "it waits for its own clock"
    advance(client, clock, end + HOUR)
    assert client.v1.invoices.retrieve(second.id).status == "paid"
    assert client.v1.invoices.retrieve(second.id).status_transitions.finalized_at == end + HOUR
    assert event_types(simulator).count("test_helpers.test_clock.ready") == 3


def test_the_account_s_clock_goes_on_without_the_test_clock(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Callable[..., Any], subscribed: Any, seat: Any
) -> None:
    ordinary = subscribe(line_items=[{"price": seat.id, "quantity": 1}])
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert len(client.v1.invoices.list({"customer": ordinary.customer}).data) == 2
    assert len(client.v1.invoices.list({"customer": subscribed.customer}).data) == 1


def test_an_event_s_timestamp_is_compared_with_the_clock_of_its_customer(
    client: stripe.StripeClient, clock: str, subscribed: Any, send: Callable[..., Any]
) -> None:
    send(subscribed.customer, 1, THEN - 34 * DAY)
    for wrong in (THEN - 36 * DAY, THEN + HOUR, NOON):
        with pytest.raises(stripe.InvalidRequestError, match="timestamp"):
            send(subscribed.customer, 1, wrong)
    advance(client, clock, THEN + 2 * HOUR)
    send(subscribed.customer, 1, THEN + HOUR)


def test_lists_leave_out_what_belongs_to_a_test_clock(client: stripe.StripeClient, clock: str, subscribed: Any) -> None:
    v1 = client.v1
    assert (v1.customers.list().data, v1.subscriptions.list().data, v1.invoices.list().data) == ([], [], [])
    assert [each.id for each in v1.customers.list({"test_clock": clock}).data] == [subscribed.customer]
    for found in ({"customer": subscribed.customer}, {"test_clock": clock}):
        assert [each.id for each in v1.subscriptions.list(found).data] == [subscribed.id]  # type: ignore[arg-type]
    assert len(v1.invoices.list({"subscription": subscribed.id}).data) == 1


def test_a_change_of_a_clock_s_subscription_happens_in_its_time(
    client: stripe.StripeClient, clock: str, subscribed: Any
) -> None:
    advance(client, clock, THEN + DAY)
    assert client.v1.subscriptions.cancel(subscribed.id).ended_at == THEN + DAY
    other = client.v1.subscriptions.create({"customer": subscribed.customer, "items": [{"price": seat_of(subscribed)}]})
    assert other.start_date == THEN + DAY
    preview = client.v1.invoices.create_preview({"subscription": other.id})
    assert (preview.test_clock, preview.created) == (clock, THEN + DAY)


def seat_of(subscription: Any) -> str:
    return str(subscription["items"].data[1].price.id)


def test_clocks_are_listed_attached_and_deleted_with_their_customers(
    client: stripe.StripeClient, clock: str, subscribed: Any, customer: str
) -> None:
    clocks = client.v1.test_helpers.test_clocks
    second = clocks.create({"frozen_time": THEN, "customer": customer})
    assert client.v1.customers.retrieve(customer).test_clock == second.id
    with pytest.raises(stripe.InvalidRequestError, match="attached"):
        clocks.create({"frozen_time": THEN, "customer": customer})
    assert [each.id for each in clocks.list().data] == [second.id, clock]
    clocks.delete(clock)
    assert [each.id for each in clocks.list().data] == [second.id]
    assert client.v1.customers.retrieve(subscribed.customer).deleted is True
    assert client.v1.subscriptions.retrieve(subscribed.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="No such test clock"):
        client.v1.customers.create({"test_clock": clock})


def test_a_clock_only_moves_on_and_one_move_at_a_time(
    client: stripe.StripeClient, simulator: Simulator, clock: str
) -> None:
    clocks = client.v1.test_helpers.test_clocks
    with pytest.raises(stripe.InvalidRequestError, match="later"):
        clocks.advance(clock, {"frozen_time": THEN})
    with pytest.raises(stripe.InvalidRequestError, match="frozen_time"):
        clocks.create({})  # type: ignore[typeddict-item]
    simulator.account.test_clocks.advance(clock, {"frozen_time": THEN + DAY})
    with pytest.raises(ApiError, match="is advancing"):
        simulator.account.test_clocks.advance(clock, {"frozen_time": THEN + 2 * DAY})
