"""Nobody names an organisation into somebody else's hands, and events of other accounts change nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from billing import clock, record_readings
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.stack import SNAPSHOT_SECRET, THIN_SECRET, Stack
from stripe_simulator import sign
from tests.webhooks.conftest import Output
from tests.webhooks.stripe_state import assert_follows_stripe


def strangers_checkout(stack: Stack, organization_id: str, named: str | None = None) -> tuple[str, str]:
    """Let somebody pay on a payment link with an organisation's id; return the customer and the subscription.

    The seller's metadata on the subscription has `named` another organisation.
    """
    before = set(stack.customers.get(organization_id, ()))
    made = stack.subscribe(organization_id, in_metadata=False)
    if named is not None:
        stack.simulator.account.subscriptions.update(made[1], {"metadata": {"organization_id": named}})
    stack.customers[organization_id] = before
    return made


def conflicts(output: Output) -> list[str]:
    return [line["message"] for line in output.lines() if line["level"] == "ERROR"]


def test_a_stranger_who_names_a_subscribed_organisation_changes_nothing(
    stack: Stack, acme: str, output: Output
) -> None:
    before = stack.record("acme").serialize()
    customer_id, _ = strangers_checkout(stack, "acme")

    outcomes = {response.outcome for response in stack.deliver_all()}

    assert outcomes == {"ignored"}
    after = stack.record("acme").serialize()
    assert {name: value for name, value in after.items() if name != "refreshing_since"} == before
    (told,) = conflicts(output)
    assert told.startswith("A buyer named an organisation that has another Stripe customer")
    assert [each["customer_conflict"] for each in output.metrics() if "customer_conflict" in each] == [[1.0]]
    record_readings("acme", 5, clock.utc_now())
    stack.advance(hours=1)
    stack.meter()
    assert stack.simulator.account.hourly(customer_id, "temperature_readings") == {}
    assert stack.differences(["acme"], clock.utc_now() - timedelta(days=1), clock.utc_now()) == []


def test_the_sellers_word_on_the_subscription_brings_another_customer(stack: Stack, acme: str) -> None:
    """What the person on call does about such a conflict where the buyer was the organisation itself."""
    customer_id, subscription_id = strangers_checkout(stack, "acme")
    stack.deliver_all()
    stack.customers["acme"].add(customer_id)

    stack.simulator.account.subscriptions.update(subscription_id, {"metadata": {"organization_id": "acme"}})
    stack.deliver_all()

    assert assert_follows_stripe(stack, "acme").stripe_customer_id == customer_id


def test_a_subscription_that_the_seller_gives_to_another_organisation_is_that_ones(stack: Stack, acme: str) -> None:
    customer_id, _ = strangers_checkout(stack, "acme", named="globex")

    stack.deliver_all()

    assert stack.record("globex").stripe_customer_id == customer_id
    assert customer_id not in (stack.record("acme").customer_ids or ())


def test_a_buyer_who_names_one_organisation_takes_nothing_that_the_seller_gave_to_another(stack: Stack) -> None:
    customer_id, _ = strangers_checkout(stack, "newco", named="globex")
    waiting = stack.simulator.webhooks.take()
    checkout = [one for one in waiting if one.event_type == "checkout.session.completed"]

    assert {response.outcome for response in stack.deliver_all(checkout)} == {"ignored"}
    stack.deliver_all(waiting)

    assert {record.organization_id: record.stripe_customer_id for record in SubscriptionRecord.scan()} == {
        "globex": customer_id
    }


def test_a_buyers_word_links_an_organisation_that_has_no_customer_yet(stack: Stack) -> None:
    stack.subscribe("acme", in_metadata=False)
    stack.deliver_all()

    assert_follows_stripe(stack, "acme")


@pytest.mark.parametrize("relinks", ["true", "false", ""])
def test_a_buyers_word_links_an_organisation_whose_subscriptions_ended_only_with_the_setting(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch, relinks: str
) -> None:
    monkeypatch.setenv("RELINK_BY_REFERENCE", relinks)
    stack.simulator.account.subscriptions.cancel(acme)
    stack.deliver_all()
    stack.advance(minutes=5)
    before = stack.record("acme").stripe_customer_id
    customer_id, _ = stack.subscribe("acme", in_metadata=False)

    stack.deliver_all()

    assert stack.record("acme").stripe_customer_id == (customer_id if relinks == "true" else before)


def test_with_the_setting_a_buyers_word_moves_no_organisation_that_is_subscribed(
    stack: Stack, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELINK_BY_REFERENCE", "true")
    strangers_checkout(stack, "acme")

    stack.deliver_all()

    assert_follows_stripe(stack, "acme")


def test_a_checkout_of_another_product_that_uses_the_same_references_changes_nothing(stack: Stack, acme: str) -> None:
    account = stack.simulator.account
    price = account.prices.create(
        {"product": "prod_shop", "currency": "eur", "unit_amount": "500", "recurring": {"interval": "month"}}
        | {"product": account.products.create({"name": "Newsletter"})["id"]}
    )
    for reference in ("acme", "never-seen"):
        session = account.checkout_sessions.create(
            {
                "mode": "subscription",
                "client_reference_id": reference,
                "line_items": [{"price": price["id"], "quantity": "1"}],
                "success_url": "https://shop.example",
            }
        )
        account.complete_checkout_session(session["id"])

    assert {response.outcome for response in stack.deliver_all()} == {"ignored"}
    assert_follows_stripe(stack, "acme")
    assert [record.organization_id for record in SubscriptionRecord.scan()] == ["acme"]


@pytest.mark.parametrize("payload", ["snapshot", "thin"])
def test_metadata_that_can_be_nobodys_id_links_nobody(stack: Stack, payload: str) -> None:
    customer_id = stack.simulator.account.customers.create({})["id"]
    items = [{"price": price} for price in stack.prices.values()]
    named = {"organization_id": "a/b"}
    stack.simulator.account.subscriptions.create({"customer": customer_id, "items": items, "metadata": named})
    deliveries = [one for one in stack.simulator.webhooks.take() if one.payload == payload]

    assert {response.outcome for response in stack.deliver_all(deliveries)} == {"ignored"}
    assert list(SubscriptionRecord.scan()) == []


# ------------------------------------------------------------------------------- other accounts, and the other mode


@pytest.mark.parametrize("change", [{"livemode": True}, {"account": "acct_another"}], ids=["live", "account"])
def test_an_event_of_another_account_or_mode_changes_nothing(
    stack: Stack, acme: str, output: Output, change: dict[str, Any]
) -> None:
    stack.simulator.account.subscriptions.cancel(acme)
    (delivery,) = (one for one in stack.simulator.webhooks.take() if one.payload == "snapshot")
    body = json.dumps(json.loads(delivery.body) | change).encode()

    response = stack.post(body, {"Stripe-Signature": sign(body, SNAPSHOT_SECRET)})

    assert (response.status, response.outcome) == (200, "ignored")
    assert stack.record("acme").status == "active"
    assert [each["foreign_events"] for each in output.metrics() if "foreign_events" in each] == [[1.0]]


def test_a_thin_event_of_another_account_changes_nothing(stack: Stack, acme: str) -> None:
    stack.simulator.account.subscriptions.cancel(acme)
    (delivery,) = (one for one in stack.simulator.webhooks.take() if one.payload == "thin")
    body = json.dumps(json.loads(delivery.body) | {"context": "acct_another"}).encode()

    response = stack.post(body, {"Stripe-Signature": sign(body, THIN_SECRET)})

    assert (response.status, response.outcome) == (200, "ignored")
    assert stack.record("acme").status == "active"
