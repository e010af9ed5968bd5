"""The settings for what Stripe does not say of invoices: each value, and where the readings differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.moments import HOUR, NOON

pytestmark = pytest.mark.enable_socket
MINUTE = 60
START = NOON + 3 * MINUTE
END = 1_798_027_200 + 3 * MINUTE


@pytest.fixture
def subscribed(client: stripe.StripeClient, simulator: Simulator, price: Any, customer: str) -> Any:
    """Return a subscription to readings that begins at three past noon, and renews at three past."""
    simulator.clock.set(START)
    return client.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})


def billed(simulator: Simulator, subscription: Any) -> list[int]:
    return list(simulator.account.invoices.billed_quantities(subscription.customer, "readings").values())


@pytest.mark.parametrize(
    ("reading", "winner", "of_the_next"),
    [
        ("timestamp", "before", 0),
        ("timestamp", "after", 7),
        ("ending_period", "before", 0),
        ("ending_period", "after", 0),
        ("beginning_period", "before", 7),
        ("beginning_period", "after", 7),
    ],
)
def test_the_window_in_which_a_period_ends(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscribed: Any,
    send: Callable[..., Any],
    reading: Any,
    winner: str,
    of_the_next: int,
) -> None:
    simulator.settings.boundary_window = reading
    simulator.clock.set(END + 5 * MINUTE)
    send(subscribed.customer, 10, END - HOUR)
    send(subscribed.customer, 7, END - MINUTE if winner == "before" else END + MINUTE)
    preview = client.v1.invoices.create_preview({"subscription": subscribed.id})
    assert sum(line.quantity or 0 for line in preview.lines.data) == of_the_next
    assert simulator.account.billed(subscribed.customer, "readings", START, END) == 17 - of_the_next


@pytest.mark.parametrize(("reading", "first"), [("timestamp", 0), ("ending_period", 5), ("beginning_period", 5)])
def test_an_event_before_the_start_in_the_first_window(
    client: stripe.StripeClient,
    simulator: Simulator,
    subscribed: Any,
    send: Callable[..., Any],
    reading: Any,
    first: int,
) -> None:
    simulator.settings.boundary_window = reading
    send(subscribed.customer, 5, START - MINUTE)
    send(subscribed.customer, 9, START - HOUR)
    preview = client.v1.invoices.create_preview({"subscription": subscribed.id})
    assert sum(line.quantity or 0 for line in preview.lines.data) == first


@pytest.mark.parametrize("reading", ["timestamp", "ending_period", "beginning_period"])
def test_every_reading_bills_all_of_a_life_that_begins_and_ends_within_hours(
    client: stripe.StripeClient, simulator: Simulator, subscribed: Any, send: Callable[..., Any], reading: Any
) -> None:
    simulator.settings.boundary_window = reading
    client.v1.subscriptions.update(subscribed.id, {"cancel_at": END + 10 * MINUTE})
    send(subscribed.customer, 1, START + MINUTE)
    simulator.clock.set(END + MINUTE)
    send(subscribed.customer, 2, END - HOUR)
    send(subscribed.customer, 4, END + MINUTE)
    simulator.clock.advance(3 * HOUR)
    assert sum(billed(simulator, subscribed)) == 7
    assert client.v1.subscriptions.retrieve(subscribed.id).status == "canceled"


@pytest.mark.parametrize(("reading", "counted"), [("timestamp", 8), ("arrival", 3)])
def test_the_last_of_hours_that_arrive_out_of_order(
    simulator: Simulator,
    make_meter: Callable[..., Any],
    customer: str,
    send: Callable[..., Any],
    reading: Any,
    counted: int,
) -> None:
    simulator.settings.last_across_windows = reading
    make_meter("sensors", "last")
    send(customer, 8, NOON - HOUR, event_name="sensors")
    send(customer, 3, NOON - 2 * HOUR, event_name="sensors")
    assert simulator.account.billed(customer, "sensors", NOON - 3 * HOUR, NOON) == counted


@pytest.mark.parametrize(("reading", "shown"), [("shown", [(1000, 0)]), ("left_out", [])])
def test_the_usage_of_a_trial(
    client: stripe.StripeClient,
    simulator: Simulator,
    price: Any,
    customer: str,
    send: Callable[..., Any],
    reading: Any,
    shown: list[tuple[int, int]],
) -> None:
    simulator.settings.trial_usage = reading
    client.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}], "trial_period_days": 7})
    send(customer, 1000, NOON)
    simulator.clock.advance(8 * 24 * HOUR)
    lines = [line for invoice in client.v1.invoices.list().data for line in invoice.lines.data]
    assert [(line.quantity, line.amount) for line in lines] == shown


@pytest.mark.parametrize(("reading", "quantity"), [("units", 250), ("packages", 3)])
@pytest.mark.parametrize("rounding", ["up", "down"])
def test_a_line_of_a_price_by_the_package(
    client: stripe.StripeClient,
    simulator: Simulator,
    make_meter: Callable[..., Any],
    customer: str,
    send: Callable[..., Any],
    reading: Any,
    quantity: int,
    rounding: Any,
) -> None:
    simulator.settings.line_quantity = reading
    price = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 50,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": make_meter().id},
            "product_data": {"name": "Readings by the hundred"},
            "transform_quantity": {"divide_by": 100, "round": rounding},
        }
    )
    subscription = client.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
    send(customer, 250, NOON)
    (line,) = client.v1.invoices.create_preview({"subscription": subscription.id}).lines.data
    packages = 3 if rounding == "up" else 2
    assert (line.quantity, line.amount) == (quantity if reading == "units" else packages, 50 * packages)
