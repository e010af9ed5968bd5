"""What the log, the metrics and the response tell of a delivery: what failed and how often, and never a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from billing.stripe_gateway.calls import stripe_gateway
from billing.stripe_secrets import secrets_reader
from functions.stripe_webhook import app
from programs.local.stack import SNAPSHOT_SECRET, THIN_SECRET, Stack
from tests.support.calls import Calls
from tests.support.faults import Throttled
from tests.webhooks.conftest import API_KEY, Output


def test_a_failure_of_dynamodb_is_a_500_that_names_the_code_and_no_data(
    stack: Stack, calls: Calls, output: Output
) -> None:
    stack.subscribe("acme")
    delivery = stack.simulator.webhooks.take("checkout.session.completed")[0]
    with calls.watched(lambda number, call: Throttled() if call.name.startswith("dynamodb:") else None):
        assert stack.deliver(delivery).status == 500

    (line,) = output.events()
    assert (line["level"], line["outcome"], line["stripe_event_id"]) == ("ERROR", "failed", delivery.event_id)
    assert "ProvisionedThroughputExceededException" in line["error_codes"]
    assert any(frame.endswith(" _follow") for frame in line["error_stack"])
    output.assert_tells_nothing(delivery.headers()["Stripe-Signature"], "buyer@example.com")


def test_a_failure_of_stripe_is_a_500_that_says_so(stack: Stack, output: Output) -> None:
    stack.subscribe("acme")
    delivery = stack.simulator.webhooks.take("checkout.session.completed")[0]
    stack.simulator.faults.add("http_500")

    assert stack.deliver(delivery).status == 500
    (line,) = output.events()
    assert line["error_type"] == "StripeUnavailableError"
    assert line["error"].startswith("Stripe responded with 500")
    output.assert_tells_nothing()


@pytest.mark.parametrize("api_key", ["sk_test_broken\nkey", "sk_test_brøken…key"])
def test_an_api_key_that_cannot_be_sent_is_a_500_that_does_not_tell_it(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch, api_key: str
) -> None:
    stack.subscribe("acme")
    monkeypatch.setenv("STRIPE_SECRET_KEY", api_key)
    secrets_reader.cache_clear()
    stripe_gateway.cache_clear()

    assert stack.deliver(stack.simulator.webhooks.take("checkout.session.completed")[0]).status == 500
    assert "sk_test_br" not in output.text
    output.assert_tells_nothing()


def test_a_defect_is_a_500_and_what_its_messages_quote_is_not_told(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.subscribe("acme")
    delivery = stack.simulator.webhooks.take("checkout.session.completed")[0]
    signature = delivery.headers()["Stripe-Signature"]

    def break_down(*arguments: Any) -> Any:
        try:
            raise ValueError(f"{API_KEY} {signature} {delivery.body.decode()}")
        except ValueError as error:
            raise KeyError(SNAPSHOT_SECRET, THIN_SECRET) from error

    monkeypatch.setattr(app, "deliver", break_down)
    assert stack.deliver(delivery).status == 500

    (line,) = output.events()
    assert (line["error_type"], line["error_causes"]) == ("KeyError", ["ValueError"])
    assert line["error_stack"][-1].endswith(" break_down")
    output.assert_tells_nothing(signature, "buyer@example.com", "client_reference_id")


@pytest.mark.parametrize("missing", ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"])
def test_a_missing_secret_names_its_variable_in_the_log_and_not_in_the_answer(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    stack.subscribe("acme")
    monkeypatch.delenv(missing)
    secrets_reader.cache_clear()
    stripe_gateway.cache_clear()
    response = stack.deliver(stack.simulator.webhooks.take("checkout.session.completed")[0])

    assert response.status == (500 if missing == "STRIPE_SECRET_KEY" else 400)
    assert "STRIPE" not in json.dumps(response.body)
    if missing == "STRIPE_SECRET_KEY":
        assert missing in output.events()[0]["error"]


# ---------------------------------------------------------------------------------------------- what is told of each


def test_every_delivery_is_told_in_one_line_and_counted_by_its_outcome(stack: Stack, output: Output) -> None:
    _, subscription_id = stack.subscribe("acme")
    first = stack.simulator.webhooks.take("checkout.session.completed")[0]
    account = stack.simulator.account
    account.subscriptions.update(subscription_id, {"description": "old"})
    old = stack.simulator.webhooks.take("customer.subscription.updated")[0]
    stack.advance(minutes=5)
    account.customers.create({"email": "buyer@example.com"})
    other = stack.simulator.webhooks.take("customer.created")[-1]

    expected = [(first, "processed", "acme"), (first, "duplicate", "acme"), (other, "ignored", None)]
    expected.append((old, "already_reflected", "acme"))
    for delivery, outcome, organization_id in expected:
        output.clear()
        assert stack.deliver(delivery).outcome == outcome

        (line,) = output.lines()
        assert line["message"] == "Stripe event"
        assert line["level"] == "INFO"
        assert line["stripe_event_id"] == delivery.event_id
        assert line["stripe_event_type"] == delivery.event_type
        assert line["outcome"] == outcome
        assert line.get("organization_id") == organization_id
        assert 0 < line["duration_ms"] < 60_000
        (metric,) = output.metrics()
        assert metric["outcome"] == outcome
        assert metric["stripe_events"] == [1.0]
        (definition,) = metric["_aws"]["CloudWatchMetrics"]
        assert definition["Metrics"][0]["Name"] == "stripe_events"
        assert "outcome" in definition["Dimensions"][0]


@pytest.mark.parametrize(
    ("status", "level", "metric"), [(400, "WARNING", "deliveries_rejected"), (500, "ERROR", "deliveries_failed")]
)
def test_every_answer_that_is_an_error_is_told_in_one_line_and_counted(
    stack: Stack, output: Output, status: int, level: str, metric: str
) -> None:
    stack.subscribe("acme")
    delivery = stack.simulator.webhooks.take("checkout.session.completed")[0]
    if status == 400:
        assert stack.post(delivery.body + b" ", delivery.headers()).status == 400
    else:
        stack.simulator.faults.add("http_500")
        assert stack.deliver(delivery).status == 500

    (line,) = output.events()
    assert (line["level"], line["outcome"]) == (level, "rejected" if status == 400 else "failed")
    assert line["duration_ms"] > 0
    assert [each[metric] for each in output.metrics() if metric in each] == [[1.0]]


def test_an_event_of_an_unknown_subscription_is_counted(stack: Stack, output: Output) -> None:
    stack.subscribe("stranger", in_metadata=False)
    stack.deliver(stack.simulator.webhooks.take("customer.subscription.created")[0])

    assert [each["unknown_subscription"] for each in output.metrics() if "unknown_subscription" in each] == [[1.0]]
