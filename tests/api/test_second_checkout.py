"""Who may open a checkout, on whose customer, and how many can be open: what would bill usage twice, or a stranger."""

from __future__ import annotations

from typing import Any

import pytest

from billing import clock, record_readings
from billing.clock import format_time, hour_of
from programs.local.http_api import HttpApi, HttpResponse
from programs.local.stack import Stack


def checkout(api: HttpApi, stack: Stack, organization_id: str = "acme", key: str | None = None) -> HttpResponse:
    body = {
        "price_ids": list(stack.prices.values()),
        "success_url": "https://app.example.com/billing",
        "cancel_url": "https://app.example.com/billing",
    }
    headers = {"Idempotency-Key": key} if key else {}
    return api.call("POST", f"/organizations/{organization_id}/checkout-sessions", body, headers=headers)


def session_statuses(stack: Stack) -> list[str]:
    return [session["status"] for session in stack.simulator.account.checkout_sessions.objects.values()]


def licensed_price(stack: Stack) -> str:
    account = stack.simulator.account
    product = account.products.create({"name": "Support plan"})["id"]
    recurring = {"interval": "month"}
    price: str = account.prices.create(
        {"product": product, "currency": "eur", "unit_amount": "900", "recurring": recurring}
    )["id"]
    return price


def test_organisations_whose_ids_differ_in_case_have_a_customer_each(stack: Stack, api: HttpApi) -> None:
    for organization_id in ("aB3xQ", "Ab3Xq", "ab3xq"):
        assert checkout(api, stack, organization_id).status == 201

    customers = [stack.record(organization_id).stripe_customer_id for organization_id in ("aB3xQ", "Ab3Xq", "ab3xq")]
    assert len(set(customers)) == 3


def test_a_customer_is_found_behind_a_hundred_whose_metadata_differs_in_case(stack: Stack, api: HttpApi) -> None:
    wanted = stack.simulator.account.customers.create({"metadata": {"organization_id": "acme"}})["id"]
    for _ in range(101):
        stack.simulator.account.customers.create({"metadata": {"organization_id": "ACME"}})

    assert checkout(api, stack).status == 201
    assert stack.record("acme").stripe_customer_id == wanted


def test_a_checkout_opens_where_stripe_refuses_to_search(stack: Stack, api: HttpApi) -> None:
    """As it does for accounts in India; for a day the idempotency key finds a customer of a request that died."""
    message = "The search feature is temporarily unavailable in your region."
    stack.simulator.faults.add("http_400", "/v1/customers/search", message=message)
    stack.simulator.faults.add("http_500", "/v1/checkout/sessions", nth=[1, 2, 3])
    assert checkout(api, stack).status == 503

    assert checkout(api, stack).status == 201
    assert len(stack.simulator.account.customers.objects) == 1


def test_the_newest_checkout_ends_those_that_are_open(stack: Stack, api: HttpApi) -> None:
    for _ in range(3):
        assert checkout(api, stack).status == 201

    assert session_statuses(stack) == ["expired", "expired", "open"]


def test_the_same_checkout_again_ends_no_newer_one(stack: Stack, api: HttpApi) -> None:
    first = checkout(api, stack, key="first").body
    checkout(api, stack, key="second")
    again = checkout(api, stack, key="first").body

    assert again["checkout_session_id"] == first["checkout_session_id"]
    assert session_statuses(stack) == ["expired", "open"]


def test_sessions_that_are_not_the_organisations_stay_open(stack: Stack, api: HttpApi) -> None:
    checkout(api, stack)
    customer_id = stack.record("acme").stripe_customer_id
    stack.open_checkout("another-reference", customer=customer_id)
    checkout(api, stack)

    assert session_statuses(stack) == ["expired", "open", "open"]


def test_a_session_that_is_paid_meanwhile_does_not_stop_the_checkout(stack: Stack, api: HttpApi) -> None:
    checkout(api, stack)
    stack.simulator.faults.add("http_400", "*/expire", message="This Checkout Session is complete.")

    assert checkout(api, stack).status == 201


def test_two_subscriptions_that_bill_the_same_usage_are_told(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    customer_id = stack.simulator.account.customers.create({})["id"]
    for _ in range(2):
        stack.subscribe("acme", customer=customer_id)
    stack.deliver_all()

    told = [line for line in capsys.readouterr().out.splitlines() if '"subscription_conflict":[1.0]' in line]
    assert told


@pytest.mark.parametrize(("status", "expected"), [("incomplete", 201), ("past_due", 409), ("unpaid", 409)])
def test_only_a_subscription_that_has_begun_is_in_the_way_of_a_checkout(
    stack: Stack, api: HttpApi, status: str, expected: int
) -> None:
    _, subscription_id = stack.subscribe("acme")
    stack.simulator.account.subscriptions.set_status(subscription_id, status)
    stack.deliver_all()

    assert checkout(api, stack).status == expected


def test_another_products_subscription_is_in_nobodys_way(stack: Stack, api: HttpApi) -> None:
    customer_id, subscription_id = stack.subscribe("acme")
    stack.deliver_all()
    items: list[dict[str, Any]] = [{"price": licensed_price(stack)}]
    stack.simulator.account.subscriptions.create({"customer": customer_id, "items": items})
    assert api.call("GET", "/organizations/acme/subscription").body["stripe_subscription_id"] == subscription_id
    stack.simulator.account.subscriptions.cancel(subscription_id)
    stack.deliver_all()
    stack.advance(hours=2)
    record_readings("acme", 100, clock.utc_now())
    hour = format_time(hour_of(clock.utc_now()))
    stack.advance(hours=1)

    assert stack.meter()["refused"] == {"subscription_ended": 1}
    assert stack.usage("acme", hour).refused.startswith("subscription_ended: The subscription ended at")
    assert checkout(api, stack).status == 201


def test_usage_of_a_checkout_that_is_not_finished_waits_for_it(stack: Stack, api: HttpApi) -> None:
    opened = checkout(api, stack).body["checkout_session_id"]
    record_readings("acme", 100, clock.utc_now())
    stack.advance(minutes=30)
    session = stack.simulator.account.complete_checkout_session(opened)
    stack.advance(minutes=31)
    assert stack.meter()["refused"] == {"no_subscription": 1}

    stack.deliver_all()
    stack.meter()

    assert sum(stack.simulator.account.hourly(session["customer"], "temperature_readings").values()) == 100


def test_the_portals_cancellation_is_shown(stack: Stack, api: HttpApi) -> None:
    """In flexible billing mode the portal sets `cancel_at`, and `cancel_at_period_end` stays false."""
    _, subscription_id = stack.subscribe("acme")
    (item,) = stack.simulator.account.subscriptions.retrieve(subscription_id)["items"]["data"][:1]
    stack.simulator.account.subscriptions.update(subscription_id, {"cancel_at": str(item["current_period_end"])})
    stack.deliver_all()

    shown = api.call("GET", "/organizations/acme/subscription").body

    assert (shown["cancel_at"], shown["cancel_at_period_end"]) == (shown["current_period_end"], False)


def test_the_period_is_that_of_the_meters(stack: Stack, api: HttpApi) -> None:
    account = stack.simulator.account
    product = account.products.create({"name": "Base fee"})["id"]
    yearly = account.prices.create(
        {"product": product, "currency": "eur", "unit_amount": "900", "recurring": {"interval": "year"}}
    )
    items = [{"price": yearly["id"]}, *({"price": price} for price in stack.prices.values())]
    customer_id = account.customers.create({})["id"]
    account.subscriptions.create({"customer": customer_id, "items": items, "metadata": {"organization_id": "acme"}})
    stack.deliver_all()

    shown = api.call("GET", "/organizations/acme/subscription").body

    assert (shown["current_period_start"], shown["current_period_end"]) == (
        "2026-11-23T08:00:00Z",
        "2026-12-23T08:00:00Z",
    )
