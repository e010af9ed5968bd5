"""The lines of an invoice, and what all of a customer's invoices bill together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_simulator import Simulator
from tests.stripe_simulator.moments import DRAFTED, HOUR, MONTH_END, NOON

pytestmark = pytest.mark.enable_socket


def test_the_lines_of_an_invoice_come_page_by_page_and_ten_of_them_with_it(
    client: stripe.StripeClient, simulator: Simulator, customer: str, seat: Any
) -> None:
    prices: list[Any] = [
        client.v1.prices.create(
            {"currency": "usd", "unit_amount": 1, "recurring": {"interval": "month"}, "product": seat.product}
        )
        for _ in range(12)
    ]
    subscription = client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price.id, "quantity": 2} for price in prices]}
    )
    invoice = client.v1.invoices.retrieve(str(subscription.latest_invoice))
    assert (invoice.total, len(invoice.lines.data), invoice.lines.has_more) == (24, 10, True)
    assert invoice.lines.url == f"/v1/invoices/{invoice.id}/lines"
    every = client.v1.invoices.line_items.list(invoice.id, {"limit": 100}).data
    identifiers = [line.id for line in every]
    assert [line.pricing.price_details.price for line in every] == [price.id for price in prices]  # type: ignore[union-attr]
    assert identifiers[:10] == [line.id for line in invoice.lines.data]

    def page(**params: Any) -> tuple[list[str], bool]:
        lines = client.v1.invoices.line_items.list(invoice.id, params)  # type: ignore[arg-type]
        return [line.id for line in lines.data], lines.has_more

    assert page() == (identifiers[:10], True)
    assert page(limit=5, starting_after=identifiers[4]) == (identifiers[5:10], True)
    assert page(starting_after=identifiers[9]) == (identifiers[10:], False)
    assert page(limit=2, ending_before=identifiers[4]) == (identifiers[2:4], True)
    assert [line.id for line in client.v1.invoices.line_items.list(invoice.id).auto_paging_iter()] == identifiers
    for wrong in ({"limit": 0}, {"limit": 101}, {"starting_after": "il_none"}):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            page(**wrong)
        assert caught.value.http_status == 400


def test_the_lines_of_a_draft_follow_its_usage_with_the_price_expanded(
    client: stripe.StripeClient, draft: Any, price: Any, send: Callable[..., Any]
) -> None:
    send(draft.customer, 150)
    params: Any = {"expand": ["data.pricing.price_details.price"]}
    line: Any = client.v1.invoices.line_items.list(draft.id, params).data[0]
    assert (line.quantity, line.period.start, line.period.end) == (150, NOON, MONTH_END)
    expanded: Any = client.v1.invoices.retrieve(draft.id, {"expand": ["lines.data.pricing.price_details.price"]})
    for shown in (line, expanded.lines.data[0]):
        assert shown.pricing.price_details.price.recurring.meter == price.recurring.meter
    plain: Any = client.v1.invoices.retrieve(draft.id)
    assert plain.lines.data[0].pricing.price_details.price == price.id
    assert client.v1.prices.retrieve(price.id).recurring.meter == price.recurring.meter  # type: ignore[union-attr]


def test_what_was_billed_is_the_sum_of_the_final_invoices_that_are_not_void(
    client: stripe.StripeClient, simulator: Simulator, open_invoice: Any, send: Callable[..., Any]
) -> None:
    def billed(event_name: str = "readings") -> int:
        return simulator.account.invoices.billed(open_invoice.customer, event_name)

    send(open_invoice.customer, 30, DRAFTED)
    simulator.clock.set(MONTH_END + 32 * 24 * HOUR)
    assert len(client.v1.invoices.list({"customer": open_invoice.customer}).data) == 2
    assert (billed(), billed("unknown")) == (130, 0)
    client.v1.invoices.mark_uncollectible(open_invoice.id)
    assert billed() == 130
    client.v1.invoices.void_invoice(open_invoice.id)
    assert billed() == 30


def test_drafts_and_trials_are_not_billed(
    client: stripe.StripeClient, simulator: Simulator, price: Any, customer: str, send: Callable[..., Any]
) -> None:
    client.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}], "trial_period_days": 7})
    send(customer, 1000)
    simulator.clock.advance(7 * 24 * HOUR)
    free = client.v1.invoices.list().data[0]
    assert client.v1.invoices.finalize_invoice(free.id, {"auto_advance": False}).status == "paid"
    simulator.clock.advance(24 * HOUR)
    send(customer, 5, NOON + 8 * 24 * HOUR)
    simulator.clock.advance(30 * 24 * HOUR - 24 * HOUR + 60)
    invoices = simulator.account.invoices
    assert [one.status for one in client.v1.invoices.list().data] == ["draft", "paid"]
    assert invoices.billed(customer, "readings") == 0
    assert list(invoices.billed_quantities(customer, "readings").values()) == [1000, 5]
    simulator.clock.advance(HOUR)
    assert invoices.billed(customer, "readings") == 5
