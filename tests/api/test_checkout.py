from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any

import pytest

from billing.api.checkout import open_checkout
from billing.meters import METERS
from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_gateway.customers import find_customer
from billing.stripe_gateway.objects import CheckoutSession
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.http_api import HttpApi
from programs.local.stack import Stack
from tests.support.secrets import fixed_secrets

CHECKOUT = "/organizations/acme/checkout-sessions"
PORTAL = "/organizations/acme/portal-sessions"


def _request(stack: Stack, **changes: Any) -> dict[str, Any]:
    return {
        "price_ids": list(stack.prices.values()),
        "success_url": "https://app.example.com/billing?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://app.example.com/billing",
        **changes,
    }


def _customers(stack: Stack) -> list[str]:
    return list(stack.simulator.account.customers.objects)


def _sessions(stack: Stack) -> list[dict[str, Any]]:
    return list(stack.simulator.account.checkout_sessions.objects.values())


def test_an_organisation_subscribes_through_the_api_and_its_webhooks(stack: Stack, api: HttpApi) -> None:
    opened = api.call("POST", CHECKOUT, _request(stack))
    assert opened.status == 201
    assert opened.body["url"].startswith("http")
    (session,) = _sessions(stack)
    assert session["client_reference_id"] == "acme"

    completed = stack.simulator.account.complete_checkout_session(opened.body["checkout_session_id"])
    assert {response.status for response in stack.deliver_all()} == {200}

    subscribed = api.call("GET", "/organizations/acme/subscription")
    assert subscribed.status == 200
    assert subscribed.body["stripe_subscription_id"] == completed["subscription"]
    assert subscribed.body["stripe_customer_id"] == session["customer"]
    assert subscribed.body["status"] == "active"
    assert subscribed.body["price_ids"] == sorted(stack.prices.values())
    subscription = stack.simulator.account.subscriptions.retrieve(completed["subscription"])
    assert subscription["metadata"] == {"organization_id": "acme"}


def test_checkout_makes_a_record_that_webhooks_build_on(stack: Stack, api: HttpApi) -> None:
    api.call("POST", CHECKOUT, _request(stack))
    record = stack.record("acme")
    (customer,) = _customers(stack)
    assert (record.version, record.customer_ids, record.stripe_customer_id) == (0, {customer}, customer)
    assert record.created_at == record.updated_at is not None


def test_checkout_makes_one_customer_when_twelve_requests_race(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    prices, address = list(stack.prices.values()), "https://app.example.com/"
    all_have_looked = Barrier(12, timeout=30)

    def find_and_wait(
        gateway: StripeGateway, organization_id: str, created_since: datetime | None = None
    ) -> str | None:
        customer_id = find_customer(gateway, organization_id, created_since)
        all_have_looked.wait()
        return customer_id

    monkeypatch.setattr("billing.api.customers.find_customer", find_and_wait)

    def open_one(_: int) -> CheckoutSession:
        # As in Lambda, where each request that races has a process of its own.
        gateway = StripeGateway(fixed_secrets("sk_test_race"), stack.simulator.base_url)
        return open_checkout("acme", prices, address, address, None, gateway)

    with ThreadPoolExecutor(12) as executor:
        opened_sessions = list(executor.map(open_one, range(12)))
    assert len({session.checkout_session_id for session in opened_sessions}) == 12
    assert len(_customers(stack)) == 1
    assert {session["customer"] for session in _sessions(stack)} == set(_customers(stack))
    assert stack.record("acme").version == 0


@pytest.mark.parametrize(
    "kind", ["http_500_after_effect", "http_500", "cut_after_effect", "cut_before_effect", "http_429"]
)
def test_checkout_makes_one_customer_when_stripe_fails_at_it(kind: str, stack: Stack, api: HttpApi) -> None:
    stack.simulator.settings.search_lag_seconds = 60
    stack.simulator.faults.add(kind, "/v1/customers", method="POST", nth=1)
    responses = [api.call("POST", CHECKOUT, _request(stack)) for _ in range(3)]
    assert responses[-1].status == 201
    assert len(_customers(stack)) == 1


def test_checkout_finds_the_customer_of_a_request_that_died_days_ago(stack: Stack, api: HttpApi) -> None:
    assert api.call("POST", CHECKOUT, _request(stack)).status == 201
    SubscriptionRecord("acme").delete()
    stack.advance(days=3)
    assert api.call("POST", CHECKOUT, _request(stack)).status == 201
    assert len(_customers(stack)) == 1
    assert stack.record("acme").stripe_customer_id == _customers(stack)[0]


def test_checkout_makes_a_successor_when_the_customer_was_deleted_at_stripe(stack: Stack, api: HttpApi) -> None:
    api.call("POST", CHECKOUT, _request(stack))
    (first,) = _customers(stack)
    stack.simulator.account.customers.delete(first)
    responses = [api.call("POST", CHECKOUT, _request(stack)) for _ in range(2)]
    assert {response.status for response in responses} == {201}
    record = stack.record("acme")
    assert record.stripe_customer_id != first
    assert record.customer_ids == {first, record.stripe_customer_id}
    assert record.version == 1
    assert len(_customers(stack)) == 2


def test_checkout_is_refused_with_409_when_the_organisation_has_a_living_subscription(
    stack: Stack, api: HttpApi
) -> None:
    opened = api.call("POST", CHECKOUT, _request(stack))
    stack.simulator.account.complete_checkout_session(opened.body["checkout_session_id"])
    # The webhook has not come yet: Stripe knows all the same.
    refused = api.call("POST", CHECKOUT, _request(stack))
    assert refused.status == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.body["title"] == "Not in the subscription's present state"
    assert "has a subscription" in refused.body["detail"]
    assert len(_sessions(stack)) == 1


def test_checkout_opens_when_the_subscription_has_ended(stack: Stack, api: HttpApi) -> None:
    opened = api.call("POST", CHECKOUT, _request(stack))
    done = stack.simulator.account.complete_checkout_session(opened.body["checkout_session_id"])
    stack.simulator.account.subscriptions.cancel(done["subscription"], {})
    assert api.call("POST", CHECKOUT, _request(stack)).status == 201
    assert len(_customers(stack)) == 1


def test_the_same_idempotency_key_opens_one_session_and_another_body_is_refused(stack: Stack, api: HttpApi) -> None:
    key = {"Idempotency-Key": "order-7"}
    first, again = (api.call("POST", CHECKOUT, _request(stack), headers=key) for _ in range(2))
    assert first.body == again.body
    assert len(_sessions(stack)) == 1
    other = api.call("POST", CHECKOUT, _request(stack, cancel_url="https://app.example.com/x"), headers=key)
    assert (other.status, other.body["errors"][0]["field"]) == (422, "header.idempotency-key")
    # Another organisation's request with the same key is another request.
    theirs = api.call("POST", "/organizations/globex/checkout-sessions", _request(stack), headers=key)
    assert theirs.status == 201
    assert theirs.body["checkout_session_id"] != first.body["checkout_session_id"]


def test_requests_without_a_key_open_a_session_each(stack: Stack, api: HttpApi) -> None:
    for _ in range(2):
        assert api.call("POST", CHECKOUT, _request(stack)).status == 201
    assert len(_sessions(stack)) == 2


def test_checkout_gives_a_price_that_is_not_metered_a_quantity(
    stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = stack.simulator.account
    base = account.prices.create(
        {"product_data": {"name": "Base"}, "currency": "eur", "unit_amount": "900", "recurring": {"interval": "month"}}
    )["id"]
    monkeypatch.setenv("ALLOWED_PRICE_IDS", ",".join([base, *stack.prices.values()]))
    opened = api.call("POST", CHECKOUT, _request(stack, price_ids=[base, *stack.prices.values()]))
    assert opened.status == 201
    lines = account.checkout_sessions.line_items(opened.body["checkout_session_id"])["data"]
    assert [line["quantity"] for line in lines] == [1, *[None] * len(METERS)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price_ids": ["price_of_somebody_else"]}, "price_ids"),
        ({"price_ids": []}, "body.price_ids"),
        ({"success_url": "https://evil.example/app.example.com"}, "success_url"),
        ({"success_url": "https://app.example.com.evil.example/"}, "success_url"),
        ({"success_url": "https://app.example.com@evil.example/"}, "success_url"),
        ({"success_url": "https://evil.example\\@app.example.com/"}, "success_url"),
        ({"success_url": "http://app.example.com/"}, "success_url"),
        ({"success_url": "https://app.example.com:8443/"}, "success_url"),
        ({"success_url": "javascript://app.example.com/%0aalert(1)"}, "success_url"),
        ({"success_url": "//app.example.com/"}, "success_url"),
        ({"success_url": "https://app.example.com/\nx"}, "success_url"),
        ({"cancel_url": "https://[app.example.com/"}, "cancel_url"),
        ({"cancel_url": 7}, "body.cancel_url"),
        ({"surprise": True}, "body.surprise"),
    ],
)
def test_checkout_refuses_before_it_asks_stripe(
    changes: dict[str, Any], field: str, stack: Stack, api: HttpApi
) -> None:
    refused = api.call("POST", CHECKOUT, _request(stack, **changes))
    assert refused.status == 422
    assert field in {error["field"] for error in refused.body["errors"]}
    assert stack.simulator.requests.total == 0


def test_checkout_refuses_a_price_that_is_there_twice(stack: Stack, api: HttpApi) -> None:
    price = next(iter(stack.prices.values()))
    assert api.call("POST", CHECKOUT, _request(stack, price_ids=[price, price])).status == 422


def test_a_developer_is_sent_back_to_their_own_machine(stack: Stack, api: HttpApi) -> None:
    response = api.call("POST", CHECKOUT, _request(stack, success_url="http://localhost:3000/done"))
    assert response.status == 201


def test_checkout_says_which_setting_is_missing_to_the_log_only(
    stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ALLOWED_PRICE_IDS")
    response = api.call("POST", CHECKOUT, _request(stack))
    assert (response.status, response.body["detail"]) == (500, "It has been noted")
    assert "ALLOWED_PRICE_IDS" not in str(response.body)


def test_portal_opens_for_the_organisations_customer(stack: Stack, api: HttpApi) -> None:
    api.call("POST", CHECKOUT, _request(stack))
    response = api.call("POST", PORTAL, {"return_url": "https://app.example.com/"})
    assert response.status == 201
    (session,) = stack.simulator.account.portal_sessions.objects.values()
    assert (session["url"], session["customer"]) == (response.body["url"], stack.record("acme").stripe_customer_id)


def test_portal_opens_with_the_configuration_that_provisioning_made(stack: Stack, api: HttpApi) -> None:
    configurations = stack.simulator.account.portal_configurations
    configurations.create({})
    ours = configurations.create({"metadata": {"managed_by": "sensor-billing"}})
    configurations.create({"metadata": {"managed_by": "somebody"}})
    api.call("POST", CHECKOUT, _request(stack))

    assert api.call("POST", PORTAL, {"return_url": "https://app.example.com/"}).status == 201
    (session,) = stack.simulator.account.portal_sessions.objects.values()
    assert session["configuration"] == ours["id"]


def test_portal_is_refused_with_404_when_there_is_no_customer_or_it_is_gone(stack: Stack, api: HttpApi) -> None:
    request = {"return_url": "https://app.example.com/"}
    assert api.call("POST", PORTAL, request).status == 404
    api.call("POST", CHECKOUT, _request(stack))
    stack.simulator.account.customers.delete(_customers(stack)[0])
    assert api.call("POST", PORTAL, request).status == 404


def test_portal_refuses_other_hosts(stack: Stack, api: HttpApi) -> None:
    assert api.call("POST", PORTAL, {"return_url": "https://evil.example/"}).status == 422


@pytest.mark.parametrize(
    ("kind", "status"),
    [("http_503", 503), ("http_429", 503), ("cut_before_effect", 503), ("http_401", 503), ("http_402", 502)],
)
def test_stripes_failures_are_problems_without_stripes_words(
    kind: str, status: int, stack: Stack, api: HttpApi
) -> None:
    stack.simulator.faults.add(kind, "/v1/checkout/sessions", message="secret sk_test_123")
    response = api.call("POST", CHECKOUT, _request(stack))
    assert response.status == status
    assert "sk_test" not in str(response.body)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert ("Retry-After" in response.headers) == (status == 503)
