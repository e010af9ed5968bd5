"""Whatever is posted: 200, 400, or 500 where Stripe or DynamoDB failed; never an exception, and never a secret told."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.stripe_gateway.calls import stripe_gateway
from billing.webhooks.events import SNAPSHOT_EVENT_TYPES, THIN_EVENT_TYPES
from functions.stripe_webhook import app
from programs.local.stack import SNAPSHOT_SECRET, THIN_SECRET, Stack
from stripe_simulator import Simulator, sign
from stripe_simulator.shapes import older_shape, with_expanded
from tests.webhooks.calls import Calls, throttled
from tests.webhooks.conftest import Output

OF_ONE_STACK: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
API_KEY = "sk_test_simulator"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
SIGNATURES = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.builds(
        lambda parts: ",".join(f"{name}={value}" for name, value in parts),
        st.lists(st.tuples(st.sampled_from(["t", "v1", "v0", ""]), st.text(max_size=70)), max_size=5),
    ),
    st.builds(lambda at, text: sign(text.encode(), "whsec_forged", at), st.integers(0, 2**40), st.text(max_size=9)),
    JSON,
)
HEADER_NAMES = st.sampled_from(["stripe-signature", "Stripe-Signature", "STRIPE-SIGNATURE", "x-other"])
AN_EVENT = {"object": "event", "id": "evt_forged", "type": "customer.created", "created": 1, "data": {"object": {}}}
BODIES = st.one_of(
    st.just(json.dumps(AN_EVENT)),
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()),
    st.sampled_from(["{}", "[]", "null", '{"object": "event"}', "[" * 5000]),
    JSON,
)
REQUESTS = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {},
        optional={
            "body": BODIES,
            "headers": st.dictionaries(HEADER_NAMES, SIGNATURES, max_size=3) | JSON,
            "isBase64Encoded": st.booleans() | JSON,
            "version": JSON,
            "requestContext": JSON,
        },
    ),
)


def assert_tells_nothing(output: Output, *more: str) -> None:
    for secret in (API_KEY, SNAPSHOT_SECRET, THIN_SECRET, "Traceback", *more):
        assert secret not in output.text


def posted(request: Any) -> int:
    """Post anything to the handler; check that the answer is one, and return its status."""
    answer = app.handler(request, None)
    assert answer["headers"] == {"content-type": "application/json"}
    (key,) = json.loads(answer["body"])
    assert key == ("outcome" if answer["statusCode"] == 200 else "error")
    return int(answer["statusCode"])


@settings(max_examples=300, **OF_ONE_STACK)
@given(request_event=REQUESTS)
def test_a_request_that_stripe_did_not_sign_is_refused_before_anything_is_read(
    simulator: Simulator, calls: Calls, output: Output, request_event: Any
) -> None:
    with calls.watched() as names:
        assert posted(request_event) == 400
    assert names == []
    assert simulator.requests.total == 0
    assert_tells_nothing(output)


def signed_request(values: Any, secret: str = SNAPSHOT_SECRET) -> dict[str, Any]:
    body = json.dumps(values).encode()
    return {"body": body.decode(), "headers": {"stripe-signature": sign(body, secret)}, "isBase64Encoded": False}


@pytest.mark.parametrize("spoil", ["signature", "body", "age", "secret", "nothing"])
def test_a_refused_request_is_neither_told_nor_answered_with_what_it_held(
    stack: Stack, calls: Calls, output: Output, spoil: str
) -> None:
    stack.subscribe("acme")
    delivery = stack.simulator.webhooks.take("checkout.session.completed")[0]
    body, headers = delivery.body, delivery.headers()
    signature = headers["Stripe-Signature"]
    if spoil == "signature":
        headers["Stripe-Signature"] = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    elif spoil == "body":
        body = body.replace(b"acme", b"evil")
    elif spoil == "age":
        headers["Stripe-Signature"] = sign(body, SNAPSHOT_SECRET, 1_600_000_000)
    elif spoil == "secret":
        headers["Stripe-Signature"] = sign(body, "whsec_other")
    with calls.watched() as names:
        answer = stack.post(body, headers)

    if spoil == "nothing":
        assert (answer.status, bool(names)) == (200, True), "the others are refused for what was spoilt"
        return
    assert (answer.status, names) == (400, [])
    assert stack.simulator.requests.total == 0
    told = headers["Stripe-Signature"]
    for line in (output.text, json.dumps(answer.body)):
        assert told not in line
        assert told.rpartition("=")[2] not in line
        assert "buyer@example.com" not in line
        assert "client_reference_id" not in line
    assert_tells_nothing(output)


# ----------------------------------------------------------------------------- signed by Stripe, but not as expected


def events_of_a_life(stack: Stack) -> list[dict[str, Any]]:
    """Return one event of each handled type, snapshots and thin ones."""
    _, subscription_id = stack.subscribe("acme")
    account = stack.simulator.account
    subscription = account.subscriptions.retrieve(subscription_id)
    invoice = account.invoices.retrieve(subscription["latest_invoice"])
    for change in ("updated", "deleted", "paused", "resumed"):
        account.events.emit(f"customer.subscription.{change}", subscription)
    account.events.emit("invoice.payment_failed", invoice)
    meter_id = next(iter(account.meters.objects))
    account.error_reports.trigger(meter_id, "archived_meter", ["acme:active_sensors:2026-11-23T08Z:r1:3"])
    account.error_reports.trigger(None, "no_meter", ["acme:active_sensors:2026-11-23T08Z:r1:3"])
    found = {delivery.event_type: delivery.event() for delivery in stack.simulator.webhooks.take()}
    handled = [event for name, event in found.items() if name in (*SNAPSHOT_EVENT_TYPES, *THIN_EVENT_TYPES)]
    assert {event["type"] for event in handled} == {*SNAPSHOT_EVENT_TYPES, *THIN_EVENT_TYPES}
    return handled


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        inner = [each for key, item in value.items() for each in paths_of(item, (*path, key))]
    elif isinstance(value, list):
        inner = [each for key, item in enumerate(value) for each in paths_of(item, (*path, key))]
    else:
        inner = []
    return [path, *inner] if path else inner


# What the handler looks at, so that most of the damage is done there.
LOOKED_AT = {
    "id",
    "object",
    "type",
    "created",
    "data",
    "related_object",
    "customer",
    "subscription",
    "client_reference_id",
    "metadata",
    "organization_id",
    "parent",
    "subscription_details",
    "mode",
}
ODD_NAMES = ("", "\x00", "\ud800", "../../v1/customers", "x" * 3000, "ü" * 255, "a b?c#d")
ODD = st.one_of(JSON, st.sampled_from(ODD_NAMES))


@pytest.mark.parametrize("event_type", ["checkout.session.completed", "customer.subscription.updated", "invoice.paid"])
@pytest.mark.parametrize("place", ["id", "customer", "subscription", "client_reference_id", "organization_id", "event"])
def test_a_signed_event_whose_names_are_odd_is_never_a_500(stack: Stack, event_type: str, place: str) -> None:
    event = next(one for one in events_of_a_life(stack) if one["type"] == event_type)
    for number, name in enumerate((*ODD_NAMES, 7, ["x"], {"id": "\x00"})):
        odd = copy.deepcopy(event) | {"id": f"evt_{number}"}
        subject = odd["data"]["object"]
        if place == "event":
            odd["id"] = name
        elif place == "organization_id":
            subject["metadata"] = {"organization_id": name}
        else:
            subject[place] = name
        assert posted(signed_request(odd)) in (200, 400), (place, name)


@settings(max_examples=60, **OF_ONE_STACK)
@given(data=st.data())
def test_a_signed_event_with_missing_or_odd_parts_is_never_a_500(
    stack: Stack, output: Output, data: st.DataObject
) -> None:
    events = stack.__dict__.setdefault("events_of_a_life", None) or events_of_a_life(stack)
    stack.__dict__["events_of_a_life"] = events
    event = copy.deepcopy(data.draw(st.sampled_from(events)))
    event["id"] = f"evt_{data.draw(st.integers(0, 10**9))}"
    for _ in range(data.draw(st.integers(1, 3))):
        paths = [path for path in paths_of(event) if path[-1] in LOOKED_AT]
        if not paths:
            break
        *way, last = data.draw(st.sampled_from(paths))
        holder = event
        for key in way:
            holder = holder[key]
        if data.draw(st.booleans()):
            del holder[last]
        else:
            holder[last] = data.draw(ODD)

    assert posted(signed_request(event)) in (200, 400), event
    assert_tells_nothing(output)


def test_a_checkout_that_is_no_subscription_is_ignored(stack: Stack) -> None:
    for mode in ("setup", "payment"):
        session = {"id": f"cs_{mode}", "object": "checkout.session", "mode": mode, "client_reference_id": "acme"}
        event = {"id": f"evt_{mode}", "object": "event", "type": "checkout.session.completed", "created": 1}
        answer = app.handler(signed_request(event | {"data": {"object": session}}), None)
        assert json.loads(answer["body"]) == {"outcome": "ignored"}


@pytest.mark.parametrize("in_metadata", [True, False])
@pytest.mark.parametrize("reshape", ["older", "expanded"])
def test_events_of_another_shape_have_the_same_effect(stack: Stack, reshape: str, in_metadata: bool) -> None:
    account = stack.simulator.account

    def shaped(event: dict[str, Any]) -> dict[str, Any]:
        if reshape == "older":
            return older_shape(event)
        return with_expanded(account, event, ["customer", "subscription", "parent.subscription_details.subscription"])

    _, subscription_id = stack.subscribe("acme", in_metadata=in_metadata)
    waiting = [one for one in stack.simulator.webhooks.take() if one.payload == "snapshot"]
    for delivery in waiting:
        assert posted(signed_request(shaped(delivery.event()))) == 200
    assert stack.record("acme").stripe_subscription_id == subscription_id

    invoice = account.invoices.retrieve(account.subscriptions.retrieve(subscription_id)["latest_invoice"])
    account.subscriptions.set_status(subscription_id, "past_due", emit=False)
    account.events.emit("invoice.payment_failed", invoice)
    (failed,) = [one for one in stack.simulator.webhooks.take() if one.payload == "snapshot"]
    assert posted(signed_request(shaped(failed.event()))) == 200
    assert stack.record("acme").status == "past_due"


# --------------------------------------------------------------------------------------------- what failures tell


def test_a_failure_of_dynamodb_is_a_500_that_names_the_code_and_no_data(
    stack: Stack, calls: Calls, output: Output
) -> None:
    stack.subscribe("acme")
    delivery = stack.simulator.webhooks.take("checkout.session.completed")[0]
    with calls.watched(lambda number, name: throttled if name.startswith("dynamodb:") else None):
        assert stack.deliver(delivery).status == 500

    (line,) = output.events()
    assert (line["level"], line["outcome"], line["stripe_event_id"]) == ("ERROR", "failed", delivery.event_id)
    assert "ProvisionedThroughputExceededException" in line["error_codes"]
    assert any(frame.endswith(" _follow") for frame in line["error_stack"])
    assert_tells_nothing(output, delivery.headers()["Stripe-Signature"], "buyer@example.com")


def test_a_failure_of_stripe_is_a_500_that_says_so(stack: Stack, output: Output) -> None:
    stack.subscribe("acme")
    delivery = stack.simulator.webhooks.take("checkout.session.completed")[0]
    stack.simulator.faults.add("http_500")

    assert stack.deliver(delivery).status == 500
    (line,) = output.events()
    assert line["error_type"] == "StripeUnavailableError"
    assert line["error"].startswith("Stripe answered 500")
    assert_tells_nothing(output)


@pytest.mark.parametrize("api_key", ["sk_test_broken\nkey", "sk_test_brøken…key"])
def test_an_api_key_that_cannot_be_sent_is_a_500_that_does_not_tell_it(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch, api_key: str
) -> None:
    from billing.stripe_secrets import secrets_reader

    stack.subscribe("acme")
    monkeypatch.setenv("STRIPE_SECRET_KEY", api_key)
    secrets_reader.cache_clear()
    stripe_gateway.cache_clear()

    assert stack.deliver(stack.simulator.webhooks.take("checkout.session.completed")[0]).status == 500
    assert "sk_test_br" not in output.text
    assert_tells_nothing(output)


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
    assert_tells_nothing(output, signature, "buyer@example.com", "client_reference_id")


@pytest.mark.parametrize("missing", ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"])
def test_a_missing_secret_names_its_variable_in_the_log_and_not_in_the_answer(
    stack: Stack, output: Output, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    from billing.stripe_secrets import secrets_reader

    stack.subscribe("acme")
    monkeypatch.delenv(missing)
    secrets_reader.cache_clear()
    stripe_gateway.cache_clear()
    answer = stack.deliver(stack.simulator.webhooks.take("checkout.session.completed")[0])

    assert answer.status == (500 if missing == "STRIPE_SECRET_KEY" else 400)
    assert "STRIPE" not in json.dumps(answer.body)
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
    stack.subscribe("stranger")
    stack.deliver(stack.simulator.webhooks.take("customer.subscription.created")[0])

    assert [each["unknown_subscription"] for each in output.metrics() if "unknown_subscription" in each] == [[1.0]]
