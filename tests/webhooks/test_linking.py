"""A customer becomes known: the link is finished, whoever dies, and whatever a read does not show yet."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.client import BaseClient

from billing import clock, record_readings
from billing.tables.customers import CustomerRecord, link_customer
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.webhooks import ledger
from programs.local.stack import Stack
from stripe_simulator import Delivery
from tests.support.calls import Call, Calls, Crash
from tests.support.faults import CrashBefore
from tests.webhooks.conftest import Take
from tests.webhooks.deliveries import one_update, updates
from tests.webhooks.stripe_state import assert_follows_stripe

UPDATE = "dynamodb:UpdateItem"


@pytest.mark.parametrize("is_recorded", [True, False], ids=["event-seen", "event-missed"])
def test_a_duplicate_finishes_a_link_that_its_stale_read_does_not_show(
    stack: Stack, calls: Calls, monkeypatch: pytest.MonkeyPatch, is_recorded: bool
) -> None:
    """Stripe counts the duplicate's 200 as the delivery's success and sends nothing again."""
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", -1.0)
    stack.subscribe("acme")
    checkout = stack.simulator.webhooks.take("checkout.session.completed")[0]
    stack.advance(minutes=5)
    with pytest.raises(Crash), calls.watched(lambda number, call: CrashBefore() if call.name == UPDATE else None):
        stack.deliver(checkout)
    assert stack.record("acme").rearm_from is not None
    real_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def read_stale(botocore_client: BaseClient, operation: str, parameters: Any) -> Any:
        response = real_api_call(botocore_client, operation, parameters)
        if operation == "BatchGetItem":
            for table, request in parameters["RequestItems"].items():
                if request["ConsistentRead"]:
                    continue
                if table == StripeEventRecord.name() and not is_recorded:
                    response["Responses"][table] = []
                for item in response["Responses"][table]:
                    item.pop("rearm_from", None)
        return response

    monkeypatch.setattr(BaseClient, "_make_api_call", read_stale)
    assert stack.deliver(checkout).outcome == "duplicate"

    assert_follows_stripe(stack, "acme")


def test_a_duplicate_of_a_refused_claim_finishes_a_link_without_the_others_customer(
    stack: Stack, acme: str, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", -1.0)
    acmes_customer = stack.record("acme").stripe_customer_id
    customer_id, _ = stack.subscribe("other")
    checkout = stack.simulator.webhooks.take("checkout.session.completed")[0]
    stack.advance(minutes=5)
    stack.subscribe("other", customer=acmes_customer, in_metadata=True)
    claim = stack.simulator.webhooks.take("checkout.session.completed")[0]
    with pytest.raises(Crash), calls.watched(lambda number, call: CrashBefore() if call.name == UPDATE else None):
        stack.deliver(checkout)
    assert stack.deliver(claim).outcome == "ignored"
    assert stack.record("other").rearm_from is not None

    assert stack.deliver(claim).outcome == "duplicate"

    record = stack.record("other")
    assert (record.stripe_customer_id, record.customer_ids) == (customer_id, {customer_id})
    assert record.rearm_from is None


def test_an_event_that_comes_before_its_customer_is_known_is_not_lost(stack: Stack, take: Take, calls: Calls) -> None:
    """Its checkout has fetched the subscription already, and is about to write what it fetched."""
    _, subscription_id = stack.subscribe("acme", in_metadata=False)
    checkout = next(one for one in take() if one.event_type == "checkout.session.completed")
    passed_by: list[str | None] = []

    def pass_by(number: int, call: Call) -> None:
        if call.name == "dynamodb:TransactWriteItems" and not passed_by:
            passed_by.append(None)
            stack.simulator.account.subscriptions.set_status(subscription_id, "past_due")
            passed_by[0] = stack.deliver(one_update(stack)).outcome

    with calls.watched(pass_by):
        assert stack.deliver(checkout).outcome == "processed"

    assert passed_by == ["ignored"]
    assert assert_follows_stripe(stack, "acme").status == "past_due"


def test_an_event_of_a_former_customer_reaches_its_organisation(stack: Stack, acme: str) -> None:
    former = stack.record("acme").stripe_customer_id
    assert former is not None
    stack.subscribe("acme")
    stack.deliver_all()
    assert stack.record("acme").stripe_customer_id != former
    stack.advance(minutes=5)
    # In Stripe's dashboard, where nothing names the organisation.
    items = [{"price": price} for price in stack.prices.values()]
    stack.simulator.account.subscriptions.create({"customer": former, "items": items})

    created = stack.simulator.webhooks.take("customer.subscription.created")

    assert [response.outcome for response in stack.deliver_all(created)] == ["processed"]
    assert assert_follows_stripe(stack, "acme").stripe_customer_id == former


def claims_of_one_customer(stack: Stack) -> tuple[str, dict[str, Delivery]]:
    """Let two organisations subscribe with one customer that nobody has yet; return it, and their checkouts."""
    customer_id = stack.simulator.account.customers.create({"email": "buyer@example.com"})["id"]
    checkouts = {}
    for organization_id in ("acme", "other"):
        stack.subscribe(organization_id, customer=customer_id, in_metadata=True)
        (checkouts[organization_id],) = (
            one for one in stack.simulator.webhooks.take("checkout.session.completed") if one.payload == "snapshot"
        )
    return customer_id, checkouts


def assert_one_has(customer_id: str) -> None:
    owner = CustomerRecord.get(customer_id, consistent_read=True).organization_id
    records = {record.organization_id: record for record in SubscriptionRecord.scan(consistent_read=True)}
    assert {name: record.stripe_customer_id for name, record in records.items()} == {owner: customer_id}


def test_only_one_of_two_organisations_gets_a_customer_that_both_claim_at_the_same_moment(
    stack: Stack, calls: Calls
) -> None:
    customer_id, checkouts = claims_of_one_customer(stack)
    meanwhile: list[str | None] = []

    def deliver_the_other(number: int, call: Call) -> None:
        if call.name == "dynamodb:TransactWriteItems" and not meanwhile:
            meanwhile.append(None)
            meanwhile[0] = stack.deliver(checkouts["other"]).outcome

    with calls.watched(deliver_the_other):
        assert stack.deliver(checkouts["acme"]).outcome == "ignored"

    assert meanwhile == ["processed"]
    assert CustomerRecord.get(customer_id).organization_id == "other"
    assert_one_has(customer_id)


def test_the_billing_api_gives_no_organisation_a_customer_that_a_webhook_gives_to_another(
    stack: Stack, calls: Calls
) -> None:
    customer_id, checkouts = claims_of_one_customer(stack)

    def link_acme(number: int, call: Call) -> None:
        if call.name == "dynamodb:TransactWriteItems" and "acme" not in linked:
            linked["acme"] = False
            linked["acme"] = link_customer("acme", customer_id, None, clock.utc_now())

    linked: dict[str, bool] = {}
    with calls.watched(link_acme):
        assert stack.deliver(checkouts["other"]).outcome == "ignored"
    assert linked == {"acme": True}
    assert link_customer("other", customer_id, None, clock.utc_now()) is False
    assert_one_has(customer_id)


def from_before_customers_had_items(stack: Stack, organization_id: str) -> None:
    """Leave an organisation's record as the version before CustomersTable wrote it."""
    for item in CustomerRecord.scan(consistent_read=True):
        if item.organization_id == organization_id:
            item.delete()
    SubscriptionRecord(organization_id).update(actions=[SubscriptionRecord.customers_claimed.remove()])


def test_a_record_from_before_customers_had_items_keeps_its_customer_and_claims_it(stack: Stack, acme: str) -> None:
    customer_id = stack.record("acme").stripe_customer_id
    assert customer_id is not None
    from_before_customers_had_items(stack, "acme")
    stack.subscribe("other", customer=customer_id, in_metadata=True)
    assert "ignored" in {response.outcome for response in stack.deliver_all()}
    assert SubscriptionRecord.of("other") is None

    stack.advance(minutes=5)
    (update,) = updates(stack, acme, 1)
    assert stack.deliver(update).outcome == "processed"

    assert stack.record("acme").customers_claimed
    assert_one_has(customer_id)


def test_two_records_that_share_a_former_customer_go_on_with_their_own(stack: Stack, acme: str) -> None:
    shared = stack.record("acme").stripe_customer_id
    _, others = stack.subscribe("other")
    stack.deliver_all()
    own = stack.record("other").stripe_customer_id
    from_before_customers_had_items(stack, "other")
    SubscriptionRecord("other").update(actions=[SubscriptionRecord.customer_ids.add({shared})])
    stack.advance(minutes=5)
    (update,) = updates(stack, others, 1)

    assert stack.deliver(update).outcome == "processed"
    assert (stack.record("other").customer_ids, stack.record("acme").customer_ids) == ({own}, {shared})


def test_a_record_that_was_deleted_comes_back_with_the_next_event_of_its_customer(stack: Stack, acme: str) -> None:
    SubscriptionRecord("acme").delete()
    stack.simulator.account.subscriptions.update(acme, {"metadata": {"touched": "today"}})

    assert stack.deliver(one_update(stack)).outcome == "processed"
    assert_follows_stripe(stack, "acme")


def test_the_hours_of_an_earlier_customer_become_due_when_its_first_webhook_comes_last(stack: Stack) -> None:
    """A customer that the record does not follow: its subscription has ended, and its hours were refused."""
    _, first = stack.subscribe("acme")
    late = stack.simulator.webhooks.take("checkout.session.completed")
    record_readings("acme", 7, clock.utc_now())
    stack.advance(minutes=30)
    stack.simulator.account.subscriptions.cancel(first)
    stack.advance(hours=3)
    stack.simulator.webhooks.take()
    assert stack.meter()["refused"] == {"no_customer": 1}
    stack.subscribe("acme")
    stack.deliver_all()
    assert stack.due_hours() == []

    assert {response.outcome for response in stack.deliver_all(late)} == {"processed"}

    assert stack.due_hours() == [("acme", "2026-11-23T08:00:00Z")]
    assert_follows_stripe(stack, "acme")
