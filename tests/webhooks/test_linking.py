"""A customer becomes known: the link is finished, whoever dies, and whatever a read does not show yet."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.client import BaseClient

from billing.tables import subscriptions as subscriptions_table
from billing.tables.stripe_events import StripeEventRecord
from billing.webhooks import delivery as delivery_module
from billing.webhooks import ledger
from programs.local.stack import Stack
from tests.support.calls import Calls, Crash
from tests.support.faults import CrashBefore
from tests.webhooks.conftest import Take
from tests.webhooks.deliveries import one_update
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


def test_an_event_that_finds_no_organisation_while_the_index_lags_is_not_lost(
    stack: Stack, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subscriptions_table.organizations_with_customer
    lags = True
    monkeypatch.setattr(
        delivery_module, "organizations_with_customer", lambda customer_id: [] if lags else real(customer_id)
    )
    _, subscription_id = stack.subscribe("acme")
    checkout = next(one for one in take() if one.event_type == "checkout.session.completed")

    def pass_by_unseen(attempt: int) -> None:
        nonlocal lags
        if lags:
            stack.simulator.account.subscriptions.set_status(subscription_id, "past_due")
            assert stack.deliver(one_update(stack)).outcome == "ignored"
            lags = False

    monkeypatch.setattr(delivery_module, "_pause", pass_by_unseen)
    assert stack.deliver(checkout).outcome == "processed"
    pass_by_unseen(0)

    assert assert_follows_stripe(stack, "acme").status == "past_due"


def test_a_delivery_is_repeated_when_the_index_lags_for_too_long(
    stack: Stack, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_pause", lambda attempt: None)
    stack.subscribe("acme")
    checkout = next(one for one in take() if one.event_type == "checkout.session.completed")
    with monkeypatch.context() as lagging:
        lagging.setattr(delivery_module, "organizations_with_customer", lambda customer_id: [])
        assert stack.deliver(checkout).status == 500
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", -1.0)

    assert stack.deliver(checkout).outcome == "duplicate"
    assert_follows_stripe(stack, "acme")
