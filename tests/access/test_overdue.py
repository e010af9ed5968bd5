"""Since when a payment is overdue: what Stripe's invoices say, whatever came first."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from billing import clock, may_use, record_readings
from billing.clock import from_unix
from programs.local.stack import Stack


class Payer:
    """An organisation that uses the service month by month, and pays or does not."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.account = stack, stack.simulator.account
        self.customer_id, self.subscription_id = stack.subscribe("acme")
        stack.deliver_all()

    def month(self, *, paid: bool) -> datetime:
        """Let a month be used and invoiced; return when its invoice was final."""
        self.account.customers.set_payment_outcome(self.customer_id, "paid" if paid else "payment_failed")
        record_readings("acme", 100, clock.utc_now())
        self.stack.advance(hours=1)
        self.stack.meter()
        before = set(self.account.invoices.objects)
        while not (made := self._final() - before):
            change = self.account.next_change_at()
            assert change is not None
            self.stack.simulator.clock.set(from_unix(change))
            self.stack.deliver_all()
        (invoice_id,) = made
        finalized_at: int = self.account.invoices.objects[invoice_id]["status_transitions"]["finalized_at"]
        return from_unix(finalized_at)

    def _final(self) -> set[str]:
        return {key for key, invoice in self.account.invoices.objects.items() if invoice["status"] != "draft"}

    @property
    def unpaid(self) -> list[str]:
        return [key for key, invoice in self.account.invoices.objects.items() if invoice["status"] == "open"]


@pytest.fixture
def payer(stack: Stack) -> Payer:
    return Payer(stack)


def test_a_second_unpaid_invoice_does_not_begin_the_days_anew(payer: Payer) -> None:
    first = payer.month(paid=False)
    assert (may_use("acme").state, may_use("acme").since) == ("grace", first)

    payer.month(paid=False)

    assert (may_use("acme").state, may_use("acme").since) == ("denied", first + timedelta(days=7))


def test_a_payment_begins_the_days_anew_though_an_older_invoice_is_unpaid(payer: Payer) -> None:
    payer.month(paid=False)
    payer.month(paid=True)
    assert may_use("acme").state == "allowed"

    third = payer.month(paid=False)

    assert (may_use("acme").state, may_use("acme").since) == ("grace", third)


def test_an_invoice_that_is_voided_is_not_overdue(payer: Payer) -> None:
    payer.month(paid=False)
    second = payer.month(paid=False)
    assert may_use("acme").state == "denied"

    payer.account.invoices.void(payer.unpaid[0])
    payer.stack.deliver_all()
    assert (may_use("acme").state, may_use("acme").since) == ("grace", second)

    payer.account.invoices.void(payer.unpaid[0])
    payer.stack.deliver_all()
    assert (may_use("acme").state, may_use("acme").since, may_use("acme").until) == ("grace", None, None)


def test_one_that_is_written_off_stays_overdue(payer: Payer) -> None:
    first = payer.month(paid=False)

    payer.account.invoices.mark_uncollectible(payer.unpaid[0])
    payer.account.subscriptions.update(payer.subscription_id, {"description": "new"})
    payer.stack.deliver_all()

    assert (may_use("acme").state, may_use("acme").since) == ("grace", first)


def test_only_a_subscription_that_is_past_due_costs_the_call(payer: Payer) -> None:
    def asked() -> int:
        return len(payer.stack.simulator.requests.to("GET /v1/invoices"))

    payer.month(paid=True)
    assert asked() == 0
    payer.month(paid=False)
    assert asked() > 0
