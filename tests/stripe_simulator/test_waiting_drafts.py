"""Drafts that wait until `invoice.created` was accepted, where the setting says that they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.moments import HOUR, MONTH_END

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def draft(
    client: stripe.StripeClient, simulator: Simulator, subscribe: Callable[..., Any], send: Callable[..., Any]
) -> Any:
    """Return the draft of a month whose `invoice.created` two endpoints want, before either was told."""
    simulator.settings.draft_waits_for_webhook = True
    for _ in range(2):
        simulator.webhooks.add_destination(enabled_events=["invoice.created"])
    simulator.webhooks.add_destination(enabled_events=["invoice.paid"])
    session = subscribe()
    send(session.customer, 100)
    simulator.clock.set(MONTH_END)
    (invoice,) = client.v1.invoices.list({"customer": session.customer}).data
    return invoice


def answer(simulator: Simulator, *statuses: int | None) -> None:
    """Let the endpoints respond to the deliveries of `invoice.created`."""
    deliveries = [one for one in simulator.webhooks.deliveries.values() if one.event_type == "invoice.created"]
    for delivery, status in zip(deliveries, statuses, strict=True):
        delivery.record(status)


def finalized_at(client: stripe.StripeClient, invoice: Any) -> int | None:
    return client.v1.invoices.retrieve(invoice.id).status_transitions.finalized_at


@pytest.mark.parametrize("accepted_after", [10 * 60, HOUR, 5 * HOUR, 71 * HOUR])
def test_the_hour_runs_from_the_last_endpoint_that_accepted(
    client: stripe.StripeClient, simulator: Simulator, draft: Any, accepted_after: int
) -> None:
    answer(simulator, 200, 500)
    simulator.clock.set(MONTH_END + accepted_after)
    answer(simulator, 200, 204)
    simulator.clock.set(MONTH_END + accepted_after + HOUR - 1)
    assert client.v1.invoices.retrieve(draft.id).status == "draft"
    simulator.clock.advance(100 * HOUR)
    assert finalized_at(client, draft) == MONTH_END + accepted_after + HOUR


@pytest.mark.parametrize("statuses", [(None, None), (200, 302)])
def test_a_draft_waits_for_three_days_at_most(
    client: stripe.StripeClient, simulator: Simulator, draft: Any, statuses: tuple[int | None, ...]
) -> None:
    answer(simulator, *statuses)
    simulator.clock.set(MONTH_END + 2 * HOUR)
    assert client.v1.invoices.retrieve(draft.id).automatically_finalizes_at == MONTH_END + 72 * HOUR
    simulator.clock.advance(100 * HOUR)
    assert finalized_at(client, draft) == MONTH_END + 72 * HOUR


@pytest.mark.parametrize("after", [HOUR // 2, 4 * HOUR])
def test_a_time_that_was_set_does_not_wait(
    client: stripe.StripeClient, simulator: Simulator, draft: Any, after: int
) -> None:
    simulator.clock.set(MONTH_END + 60)
    client.v1.invoices.update(draft.id, {"automatically_finalizes_at": MONTH_END + after})
    simulator.clock.advance(100 * HOUR)
    assert finalized_at(client, draft) == MONTH_END + after


def test_a_delivery_that_was_sent_again_by_hand_counts(
    client: stripe.StripeClient, simulator: Simulator, draft: Any
) -> None:
    answer(simulator, 200, 500)
    simulator.clock.set(MONTH_END + 3 * HOUR)
    _, again = simulator.webhooks.resend(simulator.webhooks.take("invoice.created")[0].event_id)
    again.record(200)
    simulator.clock.advance(100 * HOUR)
    assert finalized_at(client, draft) == MONTH_END + 4 * HOUR


def test_an_invoice_of_a_test_clock_does_not_wait(
    client: stripe.StripeClient, simulator: Simulator, draft: Any, price: Any, send: Callable[..., Any]
) -> None:
    customer = client.v1.customers.create().id
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": MONTH_END, "customer": customer})
    client.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
    send(customer, 5, MONTH_END)
    client.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": MONTH_END + 32 * 24 * HOUR})
    (invoice,) = client.v1.invoices.list({"customer": customer}).data
    assert finalized_at(client, invoice) == invoice.created + HOUR


def test_a_time_that_is_set_while_the_draft_waits_ends_the_waiting(
    client: stripe.StripeClient, simulator: Simulator, draft: Any
) -> None:
    simulator.clock.set(MONTH_END + 2 * HOUR)
    client.v1.invoices.update(draft.id, {"automatically_finalizes_at": MONTH_END + 80 * HOUR})
    answer(simulator, 200, 200)
    simulator.clock.advance(100 * HOUR)
    assert finalized_at(client, draft) == MONTH_END + 80 * HOUR


def test_nothing_waits_without_the_setting_or_where_nobody_listens(
    client: stripe.StripeClient, simulator: Simulator, draft: Any, send: Callable[..., Any]
) -> None:
    simulator.settings.draft_waits_for_webhook = False
    simulator.clock.set(MONTH_END + HOUR)
    assert finalized_at(client, draft) == MONTH_END + HOUR
    simulator.settings.draft_waits_for_webhook = True
    simulator.webhooks.destinations.clear()
    send(draft.customer, 5, MONTH_END)
    simulator.clock.advance(32 * 24 * HOUR)
    newest = client.v1.invoices.list().data[0]
    assert finalized_at(client, newest) == newest.created + HOUR
