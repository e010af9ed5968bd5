"""Every file in events/ is what its function expects: the real handler gets it, in this process."""

from __future__ import annotations

import importlib
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from billing import clock
from billing.billing_events import bus as bus_module
from programs.local.cloudformation import read_template
from programs.local.servers import (
    DYNAMODB_PORT,
    EVENTS,
    LOCAL_ENVIRONMENT,
    STRIPE_PORT,
    event_body,
    make_subscribed_organization,
    secret_of,
)
from programs.local.stack import Stack, TimeLimit
from programs.local.usage_message import usage_message
from programs.local.webhook_event import http_event
from stripe_simulator import sign
from tests.support.event_bus import TestBus
from tests.support.stripe_shapes import problems_of_event

OUTCOMES = {
    "checkout_session_completed": "processed",
    "customer_created": "ignored",
    "customer_subscription_created": "processed",
    "customer_subscription_deleted": "processed",
    "customer_subscription_paused": "processed",
    "customer_subscription_resumed": "processed",
    "customer_subscription_updated": "processed",
    # Their invoice is of a month that the stack of `make local` has yet to come to.
    "invoice_created": "ignored",
    "invoice_finalized": "ignored",
    "invoice_paid": "processed",
    "invoice_payment_failed": "processed",
    "invoice_voided": "ignored",
    "v1_billing_meter_error_report_triggered": "processed",
    "v1_billing_meter_no_meter_found": "processed",
    "v1_customer_subscription_created": "processed",
    "v1_customer_subscription_deleted": "processed",
    "v1_customer_subscription_paused": "processed",
    "v1_customer_subscription_resumed": "processed",
    "v1_customer_subscription_updated": "processed",
}
API_STATUSES = {
    "get_access": 200,
    "cancel_subscription": 200,
    "get_subscription": 200,
    "get_thresholds": 200,
    "get_usage": 200,
    "keep_subscription": 200,
    "list_invoices": 200,
    "open_checkout_session": 201,
    "open_portal_session": 201,
    "set_thresholds": 200,
}
# What each counts of the meters, one after the other; `rejected` has an event that does not count.
USAGE = {
    "event": {"temperature_readings": 60},
    "list": {"temperature_readings": 5, "active_sensors": 12},
    "eventbridge_rule": {"temperature_readings": 7},
    "iot_rule": {"temperature_readings": 9},
    "rejected": {"temperature_readings": 2},
}


@pytest.fixture
def local(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Give the stack in the state that `make local` serves."""
    make_subscribed_organization(stack)
    for name in ("ALLOWED_PRICE_IDS", "ALLOWED_REDIRECT_HOSTS"):
        monkeypatch.setenv(name, json.loads(LOCAL_ENVIRONMENT.read_text())["Parameters"][name])
    return stack


def read(folder: str, name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / folder / f"{name}.json").read_text(encoding="utf-8"))
    return event


def test_every_event_file_is_used_here() -> None:
    names = {str(path.relative_to(EVENTS).with_suffix("")) for path in EVENTS.rglob("*.json")}

    assert names == (
        {f"stripe/{name}" for name in OUTCOMES}
        | {f"billing_api/{name}" for name in API_STATUSES}
        | {f"usage_ingestion/{name}" for name in USAGE}
        | {"usage_metering/scheduled", "usage_metering/organization", "usage_metering/shard_message"}
        | {"usage_reconciliation/scheduled", "usage_reconciliation/meter_message"}
        | {"billing_events/subscription_past_due", "billing_events/scheduled"}
        | {"local-env"}
    )


@pytest.mark.parametrize("name", OUTCOMES)
def test_stripe_event_has_the_shape_of_stripes_api(name: str) -> None:
    assert problems_of_event(read("stripe", name), delivered=True) == []


@pytest.mark.parametrize("name", OUTCOMES)
@pytest.mark.parametrize("base64_encoded", [False, True])
def test_stripe_event_gets_its_response(local: Stack, name: str, base64_encoded: bool) -> None:
    body = event_body(EVENTS / "stripe" / f"{name}.json", int(local.simulator.clock.now()))
    event = http_event(body, sign(body, secret_of(body), int(time.time())), base64_encoded=base64_encoded)

    first = local.webhook_app.handler(event, TimeLimit(28_000))
    second = local.webhook_app.handler(event, TimeLimit(28_000))

    assert (first["statusCode"], json.loads(first["body"])) == (200, {"outcome": OUTCOMES[name]})
    assert json.loads(second["body"])["outcome"] in ("duplicate", OUTCOMES[name])


@pytest.mark.parametrize("name", USAGE)
def test_usage_arrives_once(local: Stack, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    app = importlib.import_module("functions.usage_ingestion.app")
    now = clock.utc_now()
    event = usage_message(EVENTS / "usage_ingestion" / f"{name}.json", now)
    rejected: list[Any] = []

    def take(url: str, letters: list[Any]) -> dict[int, str]:
        rejected.extend(letters)
        return {}

    monkeypatch.setattr("billing.ingestion.invocation.not_taken", take)
    monkeypatch.setenv("USAGE_DEAD_LETTER_QUEUE_URL", "https://sqs.example/dead")
    window_start = clock.format_time(clock.hour_of(now - timedelta(minutes=1)))

    for _ in range(2):
        assert app.handler(event, TimeLimit(60_000)) == {"batchItemFailures": []}

    hour = local.usage("org-local", window_start)
    assert {name: hour.counted(name) for name in USAGE[name]} == USAGE[name]
    assert [json.loads(letter["MessageBody"])["code"] for letter in rejected] == (
        ["not_whole"] * 2 if name == "rejected" else []
    )


@pytest.mark.parametrize("name", ["scheduled", "organization"])
def test_metering_sends_the_hour_that_is_due(local: Stack, name: str) -> None:
    summary = local.metering_app.handler(read("usage_metering", name), TimeLimit())

    assert (summary["settled"], summary["events_sent"]) == (1, 2)


def test_the_message_names_the_organisation_s_shard(local: Stack) -> None:
    response = local.metering_app.worker(read("usage_metering", "shard_message"), TimeLimit())

    assert response == {"batchItemFailures": []}
    assert local.due_hours() == []


@pytest.mark.parametrize("name", ["scheduled", "meter_message"])
def test_reconciliation_compares(local: Stack, name: str) -> None:
    local.meter()

    response = local.reconciliation_app.handler(read("usage_reconciliation", name), TimeLimit())

    assert response.get("batchItemFailures", []) == []
    assert response.get("drift_events", 0) == 0


def test_a_stream_s_record_is_told(local: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = TestBus()
    monkeypatch.setattr(bus_module, "events_client", lambda: bus)

    response = local.events_app.handler(read("billing_events", "subscription_past_due"), TimeLimit())

    assert response == {"batchItemFailures": []}
    assert bus.types("org-local") == ["SubscriptionChanged", "AccessChanged"]
    assert bus.told("org-local", "AccessChanged")[0]["after"]["until"] == "2026-12-01T08:00:07Z"


def test_the_schedule_finds_no_access_that_has_ended(local: Stack) -> None:
    assert local.events_app.handler(read("billing_events", "scheduled"), TimeLimit()) == {"accesses_ended": 0}


@pytest.mark.parametrize("name", API_STATUSES)
def test_billing_api_responds(local: Stack, name: str) -> None:
    response = importlib.import_module("functions.billing_api.app").handler(
        read("billing_api", name), TimeLimit(28_000)
    )

    assert response["statusCode"] == API_STATUSES[name], response["body"]


def test_the_local_environment_overrides_only_what_the_template_declares() -> None:
    template = read_template()
    declared = set(template["Globals"]["Function"]["Environment"]["Variables"])
    for resource in template["Resources"].values():
        declared |= set(resource["Properties"].get("Environment", {}).get("Variables", {}))
    local = json.loads(LOCAL_ENVIRONMENT.read_text(encoding="utf-8"))["Parameters"]

    assert set(local) <= declared
    assert local["AWS_ENDPOINT_URL_DYNAMODB"] == f"http://host.docker.internal:{DYNAMODB_PORT}"
    assert local["STRIPE_API_BASE"] == f"http://host.docker.internal:{STRIPE_PORT}"


def test_no_event_file_holds_a_signature() -> None:
    for path in Path(EVENTS).rglob("*.json"):
        assert "stripe-signature" not in path.read_text(encoding="utf-8").lower()
