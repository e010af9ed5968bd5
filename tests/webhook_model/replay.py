"""The real webhook beside the model: each step of the model's is made with real deliveries, on DynamoDB Local."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from billing import clock
from billing.access.ending import write_ended_access
from billing.tables.customers import CustomerRecord
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.stack import Stack
from programs.webhook_model.scenarios import Scenario
from programs.webhook_model.state import START, TICK, Delivery, Event, State
from programs.webhook_model.steps import Step
from stripe_simulator import Delivery as StripeDelivery
from tests.support.calls import Call
from tests.support.interleaving import Interleaving, Process

READ, TRANSACTION, RECORD = "dynamodb:BatchGetItem", "dynamodb:TransactWriteItems", "dynamodb:PutItem"


class Replay:
    """Real deliveries and a real table, which go the model's way."""

    def __init__(self, stack: Stack, interleaving: Interleaving, scenario: Scenario) -> None:
        self._stack, self._interleaving, self._scenario = stack, interleaving, scenario
        self._processes: list[tuple[Delivery, Process]] = []
        self._events: list[StripeDelivery] = []
        # What the model calls sub_1 or cus_1, and the simulator otherwise.
        self._names: dict[str, str] = {}
        self._started_at = clock.utc_now()
        self._schedule: Process | None = None
        self._unpaid_since: dict[str, datetime | None] = {}

    def make(self, step: Step, before: State) -> None:
        """Make a step of the model's."""
        if step.kind == "happens":
            self._happen(before)
        elif step.kind == "time passes":
            self._stack.advance(seconds=TICK.total_seconds())
        elif step.kind == "ends access":
            self._end_access(dies=step.text == "the schedule dies")
        elif isinstance(step.about, Event):
            event = self._events[step.about.number - 1]
            process = self._interleaving.start(lambda: self._stack.deliver(event))
            self._processes.append((Delivery(step.about, "finds its organisation"), process))
        elif step.about is not None:
            self._go_on(step, step.about)

    def _happen(self, before: State) -> None:
        """Let happen at the simulator what happened in the model: somebody subscribes, or a subscription changes."""
        after = self._scenario.happen(before)[1]
        self._stack.advance(seconds=1)
        subscription, event = after.subscriptions[-1], after.events[-1]
        account, webhooks = self._stack.simulator.account, self._stack.simulator.webhooks
        if len(after.subscriptions) > len(before.subscriptions):
            customer_id = self._real(subscription.customer_id) or account.customers.create({})["id"]
            self._names[customer_id] = subscription.customer_id
            webhooks.take()
            if event.pointer.organization_id is None:
                items = [{"price": price} for price in self._stack.prices.values()]
                subscription_id = account.subscriptions.create({"customer": customer_id, "items": items})["id"]
                told = webhooks.take("customer.subscription.created")
            else:
                _, subscription_id = self._stack.subscribe(
                    event.pointer.organization_id,
                    customer=customer_id,
                    in_metadata=not event.pointer.is_buyers_word,
                )
                told = webhooks.take("checkout.session.completed")
            self._names[subscription_id] = subscription.subscription_id
        else:
            webhooks.take()
            changed = next(
                each for each in after.subscriptions if each.subscription_id == event.pointer.subscription_id
            )
            subscription_id = str(self._real(changed.subscription_id))
            account.subscriptions.set_status(subscription_id, changed.status)
            since = changed.past_due_since
            self._unpaid_since[subscription_id] = since and self._started_at + (since - START)
            told = webhooks.take("customer.subscription.updated")
        self._events.append(next(each for each in told if each.payload == "snapshot"))

    def _real(self, name: str) -> str | None:
        return next((real for real, known in self._names.items() if known == name), None)

    def unpaid_since(self, gateway: object, subscription_id: str) -> datetime | None:
        """Say since when a payment is overdue, as the model has it and Stripe's invoices would."""
        return self._unpaid_since.get(subscription_id)

    def _end_access(self, *, dies: bool) -> None:
        """Let the schedule read the record whose access has ended, store what it is now, or die in between."""
        if self._schedule is None:
            self._schedule = self._interleaving.start(lambda: write_ended_access(clock.utc_now(), lambda: True))
            _run_until(self._schedule, _updates_a_subscription)
            assert self._schedule.pending is not None, "the schedule has found no record whose access has ended"
            return
        if dies:
            self._schedule.kill()
        else:
            self._schedule.finish()
        self._schedule = None

    def _go_on(self, step: Step, delivery: Delivery) -> None:
        number = next(number for number, (known, _) in enumerate(self._processes) if known == delivery)
        _, process = self._processes.pop(number)
        after = list(step.state.deliveries)
        for known, _ in self._processes:
            after.remove(known)
        if step.kind == "dies":
            process.kill()
        else:
            _advance(process, delivery.does)
        if after:
            self._processes.append((after[0], process))
        else:
            assert process.pending is None, f"the code would go on with {process.pending.name}"

    def differences(self, state: State) -> list[str]:
        """Return where the tables, and the deliveries under way, are not as the model has them."""
        found = [
            f"{delivery.does}, but the code has ended" for delivery, process in self._processes if not process.pending
        ]
        for what, modelled, real in (
            ("records", self._modelled_records(state), self._real_records()),
            ("customers", set(state.customers), self._real_customers()),
            ("events", set(state.recorded), self._real_events()),
        ):
            if modelled != real:
                found.append(f"{what}: the model has {modelled}, the table {real}")
        return found

    def _modelled_records(self, state: State) -> dict[str, Any]:
        return {
            record.organization_id: (
                record.stripe_subscription_id,
                record.status,
                int(record.version or 0),
                record.rearm_from is not None,
                set(record.customer_ids or ()),
                (record.access, record.access_reason, record.access_until and record.access_until - START),
            )
            for record in state.records
        }

    def _real_records(self) -> dict[str, Any]:
        return {
            record.organization_id: (
                self._names[str(record.stripe_subscription_id)],
                record.status,
                int(record.version or 0),
                record.rearm_from is not None,
                {self._names[customer_id] for customer_id in record.customer_ids or ()},
                (record.access, record.access_reason, record.access_until and record.access_until - self._started_at),
            )
            for record in SubscriptionRecord.scan(consistent_read=True)
        }

    def _real_customers(self) -> set[tuple[str, str]]:
        records = CustomerRecord.scan(consistent_read=True)
        return {(self._names[record.stripe_customer_id], record.organization_id) for record in records}

    def _real_events(self) -> set[tuple[int, str | None]]:
        numbers = {event.event_id: number for number, event in enumerate(self._events, start=1)}
        records = StripeEventRecord.scan(consistent_read=True)
        return {(numbers[record.event_id], record.organization_id) for record in records}


def _advance(process: Process, does: str) -> None:
    """Let the code make the calls that are one step of the model's."""
    if does == "reads":
        process.step()
        return
    if process.pending is not None and process.pending.name == READ:
        # It has found its organisation; or its claim failed, for the record had changed: the model finds out later.
        return
    if does == "finds its organisation":
        _run_until(process, lambda call: call.name == READ)
    elif does == "fetches":
        _run_until(process, lambda call: call.name in (READ, TRANSACTION) or _records(call))
    elif does == "looks again":
        _run_until(process, lambda call: call.name == READ or _asks_for_hours(call))
    elif does == "makes refused hours due":
        _run_until(process, lambda call: call.name == READ or _updates_a_subscription(call))
    else:
        process.step()
        _run_until(process, lambda call: call.name == READ)


def _run_until(process: Process, is_reached: Callable[[Call], bool]) -> None:
    while process.pending is not None and not is_reached(process.pending):
        process.step()


def _records(call: Call) -> bool:
    return call.name == RECORD


def _asks_for_hours(call: Call) -> bool:
    return call.name == "dynamodb:Query" and call.parameters["TableName"] == "UsageTable"


def _updates_a_subscription(call: Call) -> bool:
    return call.name == "dynamodb:UpdateItem" and call.parameters["TableName"] == "SubscriptionsTable"
