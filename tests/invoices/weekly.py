"""An organisation that is billed by the week for its readings, and the work that its periods give: call by call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from billing import clock
from billing.clock import format_time
from billing.invoices.drafts import look_at_drafts
from billing.invoices.storage import read_periods
from billing.invoices.sweep import sweep_periods
from billing.metering.invocation import new_run
from billing.periods import Period
from billing.rate_limit import RateLimit
from billing.stripe_gateway.calls import stripe_gateway
from billing.tables.subscriptions import subscriptions_of
from billing.tables.usage import UsageRecord, end_of, shard_of
from billing.webhooks.events import StripeEvent
from billing.webhooks.invoices import process_invoice
from programs.invoice_model.state import BEGIN, INTO_A_PERIOD, READINGS, STARTS
from programs.local.inline_executor import InlineExecutor

if TYPE_CHECKING:
    from programs.local.stack import Stack

ORGANIZATION = "acme"
Work = Callable[[], object]


class Weekly:
    """The organisation's periods and hours are numbered from 0; of each period only the first hour has readings."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        account = stack.simulator.account
        # An hour after what follows happens: a run that looks then finds the draft.
        stack.simulator.settings.update({"invoice_draft_seconds": 6 * 3600})
        stack.simulator.clock.set(BEGIN)
        price = account.prices.retrieve(stack.prices[READINGS])
        weekly = {"interval": "week", "usage_type": "metered", "meter": price["recurring"]["meter"]}
        new = {"product": price["product"], "currency": "eur", "unit_amount": "1", "recurring": weekly}
        stack.prices = {READINGS: account.prices.create(new)["id"]}
        self.customer_id, self.subscription_id = stack.subscribe(ORGANIZATION)
        stack.deliver_all()
        stack.simulator.clock.set(BEGIN + INTO_A_PERIOD)

    # --- what happens

    def count(self, period: int, number: int) -> None:
        """Set an hour's readings, as a writer of usage may."""
        window_start = format_time(STARTS[period])
        UsageRecord(ORGANIZATION, window_start).update_if(
            [
                UsageRecord.temperature_readings.set(number),
                UsageRecord.due_shard.set(shard_of(ORGANIZATION)),
                UsageRecord.due_at.set(end_of(window_start)),
            ]
        )

    def end(self, period: int) -> None:
        """End a period at Stripe; its invoice is a draft, of which nobody has been told."""
        self.stack.simulator.clock.set(STARTS[period + 1] + INTO_A_PERIOD)
        events = self.stack.simulator.webhooks.take()
        self.stack.deliver_all(each for each in events if each.event_type == "customer.subscription.updated")

    def finalize(self, period: int) -> None:
        """Make a period's invoice final; what is sent from now on is later by a second."""
        invoice = self.invoice(period)
        self.stack.simulator.account.invoices.finalize(invoice["id"])
        invoice["status"] = "open"  # nobody has paid it yet
        self.stack.advance(seconds=1)

    def void(self, period: int) -> None:
        """Void a period's final invoice."""
        self.stack.simulator.account.invoices.void(self.invoice(period)["id"])

    # --- the work

    def delivery(self, period: int) -> Work:
        """Return the work of an event that points at a period's invoice."""
        subject = {"id": self.invoice(period)["id"], "billing_reason": "subscription_cycle"}
        event = StripeEvent("evt_1", "invoice.finalized", 0, is_thin=False, subject=subject)
        gateway = stripe_gateway()
        return lambda: process_invoice(event, ORGANIZATION, self.subscription_id, gateway)

    def run(self, period: int) -> Work:
        """Return the work of a run with one hour."""
        executor: Any = InlineExecutor()
        run = new_run(stripe_gateway(), executor)
        return lambda: run.process([(ORGANIZATION, format_time(STARTS[period]))])

    def look(self) -> Work:
        """Return the work of a run's look at the drafts."""
        gateway = stripe_gateway()
        return lambda: look_at_drafts([shard_of(ORGANIZATION)], gateway, clock.utc_now(), lambda: True)

    def sweep(self) -> Work:
        """Return the work of the daily sweep."""
        subscriptions, gateway = subscriptions_of(ORGANIZATION, consistent=True), stripe_gateway()
        return lambda: sweep_periods(ORGANIZATION, subscriptions, gateway, clock.utc_now(), RateLimit(1000))

    def settle(self) -> None:
        """Send all that is due, without anybody else."""
        for period in range(len(STARTS)):
            if self.hour(period).due_at:
                self.run(period)()

    # --- what came of it

    def invoice(self, period: int) -> Any:
        """Return a period's invoice at Stripe."""
        start = int(STARTS[period].timestamp())
        invoices = self.stack.simulator.account.invoices.objects.values()
        return next(each for each in invoices if each["period_start"] == start)

    def hour(self, period: int) -> UsageRecord:
        """Return an hour's item."""
        return UsageRecord.of(ORGANIZATION, format_time(STARTS[period]))

    def periods(self) -> dict[int, Period]:
        """Return the periods that have an item, by number."""
        return {STARTS.index(period.span.starts_at): period for period in read_periods(ORGANIZATION)}

    def at_stripe(self, period: int) -> int:
        """Return what Stripe counts in a period's hour."""
        hourly = self.stack.simulator.account.hourly(self.customer_id, READINGS)
        return hourly.get(int(STARTS[period].timestamp()), 0)
