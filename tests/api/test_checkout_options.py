from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing import clock
from billing.api.checkout_options import LONGEST_TRIAL_DAYS, usual_fields
from billing.errors import ConfigurationError
from programs.local.http_api import HttpApi, HttpResponse, with_claims
from programs.local.stack import Stack

CHECKOUT = "/organizations/acme/checkout-sessions"
SENT_WHERE_NOTHING_IS_CHOSEN = {
    "mode",
    "customer",
    "client_reference_id",
    "metadata",
    "line_items",
    "subscription_data",
    "success_url",
    "cancel_url",
}


def open_checkout(stack: Stack, api: HttpApi, *, key: str = "", **options: Any) -> HttpResponse:
    body = {
        "price_ids": list(stack.prices.values()),
        "success_url": "https://app.example.com/done",
        "cancel_url": "https://app.example.com/",
        **options,
    }
    return api.call("POST", CHECKOUT, body, headers={"Idempotency-Key": key} if key else None)


def subscribe(stack: Stack, api: HttpApi, **options: Any) -> dict[str, Any]:
    """Go through a checkout, and return the subscription that comes of it."""
    opened = open_checkout(stack, api, **options)
    assert opened.status == 201, opened.body
    done = stack.simulator.account.complete_checkout_session(opened.body["checkout_session_id"])
    stack.deliver_all()
    subscription: dict[str, Any] = stack.simulator.account.subscriptions.retrieve(done["subscription"])
    return subscription


def pass_days(stack: Stack, days: float) -> None:
    """Let days go by, with every webhook delivered when it comes."""
    until = clock.utc_now() + timedelta(days=days)
    while (change := stack.simulator.account.next_change_at()) is not None and clock.from_unix(change) <= until:
        stack.simulator.clock.set(clock.from_unix(change))
        stack.deliver_all()
    stack.simulator.clock.set(until)


def only_session(stack: Stack) -> dict[str, Any]:
    (session,) = stack.simulator.account.checkout_sessions.objects.values()
    return dict(session)


def test_a_checkout_offers_nothing_unless_it_is_chosen(stack: Stack, api: HttpApi) -> None:
    assert open_checkout(stack, api).status == 201
    (request,) = stack.simulator.requests.to("POST /v1/checkout/sessions")
    assert set(request.params) == SENT_WHERE_NOTHING_IS_CHOSEN
    assert set(request.params["subscription_data"]) == {"metadata"}


def test_a_checkout_offers_what_the_request_asks_for(stack: Stack, api: HttpApi) -> None:
    subscription = subscribe(
        stack,
        api,
        automatic_tax=True,
        tax_id_collection=True,
        billing_address_collection="required",
        allow_promotion_codes=True,
        locale="pt-BR",
    )
    session = only_session(stack)
    assert session["automatic_tax"]["status"] == "complete"
    assert session["tax_id_collection"] == {"enabled": True, "required": "never"}
    assert (session["billing_address_collection"], session["locale"]) == ("required", "pt-BR")
    assert session["allow_promotion_codes"] is True
    assert subscription["automatic_tax"]["enabled"] is True
    customer = stack.simulator.account.customers.retrieve(subscription["customer"])
    assert customer["address"]["country"] == "DE", "tax of later invoices is computed by it"


@pytest.mark.parametrize("option", [{"automatic_tax": True}, {"tax_id_collection": True}])
def test_each_option_alone_is_taken_by_stripe(option: dict[str, Any], stack: Stack, api: HttpApi) -> None:
    assert open_checkout(stack, api, **option).status == 201


def test_the_stack_s_options_are_those_of_every_checkout_unless_the_request_says_otherwise(
    stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKOUT_OPTIONS", "automatic_tax, allow_promotion_codes,trial_period_days:14")
    subscription = subscribe(stack, api, allow_promotion_codes=False, locale=None)
    session = only_session(stack)
    assert session["automatic_tax"]["enabled"] is True
    assert session["allow_promotion_codes"] is None
    assert subscription["trial_end"] - subscription["created"] == 14 * 86400


def test_a_trial_costs_nothing_and_then_the_subscription_bills(stack: Stack, api: HttpApi) -> None:
    subscription = subscribe(stack, api, trial_period_days=7)
    assert api.call("GET", "/organizations/acme/subscription").body["status"] == "trialing"
    pass_days(stack, 7.5)
    assert api.call("GET", "/organizations/acme/subscription").body["status"] == "active"
    assert only_session(stack)["payment_method_collection"] == "always"
    assert stack.simulator.account.customers.has_payment_method(subscription["customer"])


@pytest.mark.parametrize(
    ("behavior", "status"), [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "active")]
)
def test_a_trial_without_a_payment_method_ends_as_was_chosen(
    behavior: str, status: str, stack: Stack, api: HttpApi
) -> None:
    subscription = subscribe(stack, api, trial_period_days=7, missing_payment_method=behavior)
    assert only_session(stack)["payment_method_collection"] == "if_required"
    assert not stack.simulator.account.customers.has_payment_method(subscription["customer"])
    pass_days(stack, 7.5)
    assert api.call("GET", "/organizations/acme/subscription").body["status"] == status


def test_a_payment_method_that_comes_during_the_trial_is_enough(stack: Stack, api: HttpApi) -> None:
    subscription = subscribe(stack, api, trial_period_days=7, missing_payment_method="cancel")
    stack.simulator.account.customers.set_payment_method(subscription["customer"], is_there=True)
    pass_days(stack, 7.5)
    assert api.call("GET", "/organizations/acme/subscription").body["status"] == "active"


def test_who_subscribes_again_gets_no_second_usual_trial(
    stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKOUT_OPTIONS", "trial_period_days:14,missing_payment_method:pause")
    first = subscribe(stack, api)
    stack.simulator.account.subscriptions.cancel(first["id"], {})
    stack.deliver_all()
    second = subscribe(stack, api)
    assert (first["status"], second["status"]) == ("trialing", "active")
    stack.simulator.account.subscriptions.cancel(second["id"], {})
    stack.deliver_all()
    assert subscribe(stack, api, trial_period_days=3)["status"] == "trialing", "unless the seller wants it so"


def test_the_same_key_with_other_options_is_another_request(stack: Stack, api: HttpApi) -> None:
    assert open_checkout(stack, api, key="order-7", locale="de").status == 201
    assert open_checkout(stack, api, key="order-7", locale="de", automatic_tax=False).status == 201, "nothing else"
    for options in ({}, {"locale": "fr"}, {"locale": "de", "trial_period_days": 1}):
        other = open_checkout(stack, api, key="order-7", **options)
        assert (other.status, other.body["errors"][0]["field"]) == (422, "header.idempotency-key")
    assert len(stack.simulator.account.checkout_sessions.objects) == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"trial_period_days": -1}, "body.trial_period_days"),
        ({"trial_period_days": LONGEST_TRIAL_DAYS + 1}, "body.trial_period_days"),
        ({"trial_period_days": "7"}, "body.trial_period_days"),
        ({"trial_period_days": True}, "body.trial_period_days"),
        ({"trial_period_days": 7, "missing_payment_method": "ask"}, "body.missing_payment_method"),
        ({"missing_payment_method": "pause"}, "missing_payment_method"),
        ({"trial_period_days": 0, "missing_payment_method": "pause"}, "missing_payment_method"),
        ({"locale": "xx"}, "body.locale"),
        ({"automatic_tax": "yes"}, "body.automatic_tax"),
        ({"tax_id_collection": 1}, "body.tax_id_collection"),
        ({"billing_address_collection": "never"}, "body.billing_address_collection"),
        ({"allow_promotion_codes": {}}, "body.allow_promotion_codes"),
    ],
)
def test_an_option_that_breaks_a_rule_is_refused_before_stripe_is_asked(
    options: dict[str, Any], field: str, stack: Stack, api: HttpApi
) -> None:
    refused = open_checkout(stack, api, **options)
    assert refused.status == 422
    assert field in {error["field"] for error in refused.body["errors"]}
    assert stack.simulator.requests.total == 0


def test_a_token_s_caller_chooses_the_language_and_nothing_that_costs(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_ORGANIZATION_CLAIM", "organization_id")
    api = HttpApi(with_claims(organization_id="acme"))
    assert open_checkout(stack, api, locale="de").status == 201
    for options in ({"trial_period_days": 730}, {"allow_promotion_codes": True}, {"automatic_tax": False}):
        refused = open_checkout(stack, api, **options)
        assert (refused.status, refused.body["errors"][0]["field"]) == (422, next(iter(options)))


@pytest.mark.parametrize("text", ["taxes", "trial_period_days:731", "trial_period_days", "automatic_tax:yes"])
def test_a_setting_that_is_none_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKOUT_OPTIONS", f"tax_id_collection,{text}")
    with pytest.raises(ConfigurationError, match="CHECKOUT_OPTIONS: " + text.partition(":")[0]):
        usual_fields()
