"""The ways that a delivery can take: each makes one delivery after another of its kind, and checks what came of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from billing import record_readings
from billing.clock import format_time
from billing.stripe_gateway.calls import stripe_gateway
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord
from programs.local.stack import Stack
from stripe_simulator import Delivery
from tests.webhooks.stripe_state import assert_follows_stripe

HOUR = datetime(2026, 11, 23, 8, tzinfo=UTC)
REFUSED_HOUR = format_time(HOUR)


class Scenario:
    """Make one delivery after another that take the same way, and check what came of each."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.round = 0

    def next(self) -> Delivery:
        raise NotImplementedError

    def check(self, delivery: Delivery, context: str) -> None:
        raise NotImplementedError

    def only(self, event_type: str) -> Delivery:
        """Take the delivery of this type, which comes to a function that has asked Stripe for nothing yet."""
        stripe_gateway.cache_clear()
        return next(one for one in self.stack.simulator.webhooks.take() if one.event_type == event_type)

    def recorded(self, delivery: Delivery) -> StripeEventRecord:
        return StripeEventRecord.get(delivery.event_id, consistent_read=True)


class Update(Scenario):
    """A known subscription changes; it is past due, so that its invoices are asked for as well."""

    event_type = "customer.subscription.updated"

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        _, self.subscription_id = stack.subscribe("acme")
        stack.simulator.account.subscriptions.set_status(self.subscription_id, "past_due")
        stack.deliver_all()
        stack.advance(hours=1)

    def next(self) -> Delivery:
        self.round += 1
        self.version = int(self.stack.record("acme").version)
        subscriptions = self.stack.simulator.account.subscriptions
        subscriptions.update(self.subscription_id, {"cancel_at_period_end": bool(self.round % 2)})
        return self.only(self.event_type)

    def check(self, delivery: Delivery, context: str) -> None:
        record = assert_follows_stripe(self.stack, "acme", context)
        assert int(record.version) == self.version + 1, context
        assert record.last_event_id == delivery.event_id, context
        assert self.recorded(delivery).outcome == "processed", context


class ThinUpdate(Update):
    """The same, told by a thin event."""

    event_type = "v1.customer.subscription.updated"


class FirstCheckout(Scenario):
    """An organisation subscribes, after an hour of its usage was refused for want of a customer."""

    event_type = "checkout.session.completed"
    in_metadata = False

    def next(self) -> Delivery:
        self.round += 1
        self.organization_id = f"acme-{self.round}"
        self.customer_id, _ = self.stack.subscribe(self.organization_id, in_metadata=self.in_metadata)
        record_readings(self.organization_id, 7, HOUR)
        hour = self.stack.usage(self.organization_id, REFUSED_HOUR)
        hour.update(
            actions=[
                UsageRecord.refused.set("no_customer: No Stripe customer for organization"),
                UsageRecord.due_shard.remove(),
                UsageRecord.due_at.remove(),
            ]
        )
        return self.only(self.event_type)

    def check(self, delivery: Delivery, context: str) -> None:
        record = assert_follows_stripe(self.stack, self.organization_id, context)
        assert int(record.version) == 1, context
        assert self.recorded(delivery).outcome == "processed", context
        hour = self.stack.usage(self.organization_id, REFUSED_HOUR)
        assert hour.refused is None, context
        assert hour.due_at == format_time(HOUR + timedelta(hours=1)), context


class FirstThinEvent(FirstCheckout):
    """The same, told by a thin event: it names neither the organisation nor its customer."""

    event_type = "v1.customer.subscription.created"
    in_metadata = True


class SecondCheckout(FirstCheckout):
    """An organisation whose first subscription ended subscribes again, as another customer."""

    in_metadata = True

    def next(self) -> Delivery:
        organization_id = f"acme-{self.round + 1}"
        _, first = self.stack.subscribe(organization_id)
        self.stack.deliver(self.only("checkout.session.completed"))
        self.stack.simulator.account.subscriptions.cancel(first)
        self.stack.deliver(self.only("customer.subscription.deleted"))
        delivery = super().next()
        self.version = int(self.stack.record(organization_id).version)
        return delivery

    def check(self, delivery: Delivery, context: str) -> None:
        record = assert_follows_stripe(self.stack, self.organization_id, context)
        assert record.stripe_customer_id == self.customer_id, context
        assert int(record.version) == self.version + 1, context
        hour = self.stack.usage(self.organization_id, REFUSED_HOUR)
        assert hour.refused is None, context
        assert hour.due_at == format_time(HOUR + timedelta(hours=1)), context


class OldNews(Update):
    """An event comes that is older than what is stored."""

    def next(self) -> Delivery:
        delivery = super().next()
        self.stack.advance(minutes=2)
        self.stack.simulator.account.subscriptions.update(self.subscription_id, {"description": str(self.round)})
        self.stack.deliver(self.only(self.event_type))
        self.version = int(self.stack.record("acme").version)
        return delivery

    def check(self, delivery: Delivery, context: str) -> None:
        assert int(assert_follows_stripe(self.stack, "acme", context).version) == self.version, context
        assert self.recorded(delivery).outcome == "already_reflected", context


class UnknownSubscription(Scenario):
    """An event comes of a subscription that no organisation has."""

    def next(self) -> Delivery:
        self.stack.subscribe("stranger", in_metadata=False)
        return self.only("customer.subscription.created")

    def check(self, delivery: Delivery, context: str) -> None:
        assert self.recorded(delivery).outcome == "ignored", context
        assert list(SubscriptionRecord.scan()) == [], context


class Ignored(Scenario):
    """An event comes of a type that nothing is done for."""

    def next(self) -> Delivery:
        self.stack.simulator.account.customers.create({"email": "buyer@example.com"})
        return self.only("customer.created")

    def check(self, delivery: Delivery, context: str) -> None:
        assert self.recorded(delivery).outcome == "ignored", context


SCENARIOS = (Update, ThinUpdate, FirstCheckout, FirstThinEvent, SecondCheckout, OldNews, UnknownSubscription, Ignored)
