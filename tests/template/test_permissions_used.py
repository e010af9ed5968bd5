"""Each function's role allows the calls that its code makes, and nothing more (`recorder.py`)."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.httpsession import URLLib3Session

from billing import clock, record_active_sensors, record_readings
from billing.tables.customers import CustomerRecord
from billing.tables.subscriptions import SubscriptionRecord
from programs.local.servers import EVENTS, LOCAL_ENVIRONMENT, make_subscribed_organization
from programs.local.stack import Stack, TimeLimit
from programs.local.streams import StreamPump
from programs.local.usage_message import usage_message
from tests.template.permissions import CONSUME, GRANTED
from tests.template.recorder import QUEUE_ADDRESS, SECRET_ARN, Recorder


@pytest.fixture
def recorder(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Watch the handlers of the stack, which read their secret from Secrets Manager."""
    recorder = Recorder()
    monkeypatch.setattr(URLLib3Session, "send", lambda session, request: recorder.send(session, request))
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRETS")
    monkeypatch.setenv("STRIPE_SECRET_ARN", SECRET_ARN)
    for app, name, function in (
        (stack.webhook_app, "handler", "StripeWebhookFunction"),
        (stack.metering_app, "handler", "UsageMeteringFunction"),
        (stack.metering_app, "worker", "UsageMeteringWorkerFunction"),
        (stack.reconciliation_app, "handler", "UsageReconciliationFunction"),
        (stack.events_app, "handler", "BillingEventsFunction"),
    ):
        monkeypatch.setattr(app, name, recorder.handling(function, getattr(app, name)))
    return recorder


def allowed(function: str) -> dict[str, set[str]]:
    """Return what the role allows for the code; what Lambda itself does with it is left out."""
    actions_by_resource = {resource: actions - CONSUME for resource, actions in GRANTED[function].items()}
    # Lambda, not the code, reads streams, and puts failed invocations and batches into these queues.
    of_lambda = ("AsyncFailureDeadLetterQueue", "BillingEventsDeadLetterQueue")
    return {
        resource: actions
        for resource, actions in actions_by_resource.items()
        if actions and resource not in of_lambda and not resource.endswith("/stream/*")
    }


def an_hour_ago() -> datetime:
    return clock.hour_of(clock.utc_now()) - timedelta(hours=1)


def end_a_period(stack: Stack, run: Callable[[], Any], *, late: int = 0, webhooks: bool = True) -> None:
    """Let a billing period end and its invoice become final; the `late` readings are counted and not sent by then."""
    stack.subscribe("org-month")
    stack.deliver_all()
    record_readings("org-month", 5, clock.utc_now())
    stack.advance(hours=1, minutes=5)
    run()
    if late:
        record_readings("org-month", late, an_hour_ago())
    until = clock.utc_now() + timedelta(days=31, hours=12)
    while (change := stack.simulator.account.next_change_at()) is not None and clock.from_unix(change) < until:
        stack.simulator.clock.set(clock.from_unix(change))
        if webhooks:
            stack.deliver_all()
    stack.simulator.clock.set(until)


def test_the_webhook_may_do_what_it_does(stack: Stack, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILIATION_QUEUE_URL", f"{QUEUE_ADDRESS}ReconciliationQueue")
    monkeypatch.setenv("METERING_FUNCTION", "UsageMeteringFunction")
    # Refused before anybody subscribed, then made due by the webhook.
    record_readings("org-local", 7, an_hour_ago())
    assert stack.meter()["refused"] == {"no_customer": 1}
    make_subscribed_organization(stack)
    stack.meter()
    account = stack.simulator.account
    account.subscriptions.update("sub_local", {"cancel_at_period_end": "true"})
    # Known by its customer only, and claimed by another organisation.
    account.subscriptions.create({"customer": "cus_local", "items": [{"price": stack.prices["active_sensors"]}]})
    stack.subscribe("org-other", customer="cus_local")
    identifier = stack.simulator.requests.to("POST /v1/billing/meter_events")[0].params["identifier"]
    meter_id = account.meters.by_name["temperature_readings"]["id"]
    account.error_reports.trigger(meter_id, "meter_event_customer_not_found", [identifier])
    account.subscriptions.cancel("sub_local")
    deliveries = stack.simulator.webhooks.take()
    assert {response.status for response in stack.deliver_all([*deliveries, *deliveries])} == {200}
    # A draft waits for hours that no run has sent; what its invoice lacks is carried into the open period.
    stack.advance(minutes=20)
    end_a_period(stack, stack.meter, late=2)

    assert recorder.calls["StripeWebhookFunction"] == allowed("StripeWebhookFunction")


def work(stack: Stack, run: Callable[[], Any]) -> None:
    """Let an hour be reported, corrected, refused, and corrected after its invoice was final."""
    make_subscribed_organization(stack)
    record_readings("org-nobody", 5, an_hour_ago())
    run()
    record_active_sensors("org-local", 3, an_hour_ago())
    run()
    first_hour = clock.hour_of(clock.utc_now())
    end_a_period(stack, run)
    record_readings("org-month", 2, first_hour)
    run()


def test_the_ingestion_may_do_what_it_does(stack: Stack, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_DEAD_LETTER_QUEUE_URL", f"{QUEUE_ADDRESS}UsageDeadLetterQueue")
    app = importlib.import_module("functions.usage_ingestion.app")
    handler = recorder.handling("UsageIngestionFunction", app.handler)
    for path in sorted((EVENTS / "usage_ingestion").glob("*.json")):
        for _ in range(2):
            assert handler(usage_message(path, clock.utc_now()), TimeLimit(60_000)) == {"batchItemFailures": []}

    assert recorder.calls["UsageIngestionFunction"] == allowed("UsageIngestionFunction")


def test_the_metering_function_may_do_what_it_does(
    stack: Stack, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(stack, stack.meter)
    monkeypatch.setenv("METERING_QUEUE_URL", f"{QUEUE_ADDRESS}UsageMeteringQueue")
    assert stack.meter() == {"enqueued": 16}

    assert recorder.calls["UsageMeteringFunction"] == allowed("UsageMeteringFunction")


def test_a_worker_may_do_what_it_does(stack: Stack, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERING_QUEUE_URL", f"{QUEUE_ADDRESS}UsageMeteringQueue")
    message = json.loads((EVENTS / "usage_metering" / "shard_message.json").read_text(encoding="utf-8"))

    def run(remaining_ms: int = 900_000) -> None:
        for shard in range(16):
            message["Records"][0]["body"] = json.dumps({"shard": shard, "until": clock.format_time(clock.utc_now())})
            stack.metering_app.worker(message, TimeLimit(remaining_ms))

    work(stack, run)
    record_readings("org-local", 3, an_hour_ago())
    # No time left: the rest goes on in another message.
    run(remaining_ms=0)

    assert recorder.calls["UsageMeteringWorkerFunction"] == allowed("UsageMeteringWorkerFunction")


def test_the_reconciliation_may_do_what_it_does(
    stack: Stack, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_subscribed_organization(stack)
    stack.meter()
    stack.simulator.account.meter_events.lose_hour("cus_local", "temperature_readings", int(an_hour_ago().timestamp()))
    stack.advance(hours=3)
    assert stack.reconcile()["drift_events"] == 1
    monkeypatch.setenv("RECONCILIATION_QUEUE_URL", f"{QUEUE_ADDRESS}ReconciliationQueue")
    assert stack.reconcile()["enqueued"] > 0
    # Webhooks that never came: the comparison finds the invoice, and what it lacks.
    monkeypatch.delenv("RECONCILIATION_QUEUE_URL")
    end_a_period(stack, stack.meter, late=2, webhooks=False)
    # Nor is it known any more whose the customer is.
    SubscriptionRecord("org-month").update_if([SubscriptionRecord.customers_claimed.remove()])
    CustomerRecord(str(stack.record("org-month").stripe_customer_id)).delete()
    stack.reconcile()

    assert recorder.calls["UsageReconciliationFunction"] == allowed("UsageReconciliationFunction")


def test_the_function_that_tells_the_product_may_do_what_it_does(
    stack: Stack, recorder: Recorder, dynamodb: Any
) -> None:
    with closing(StreamPump(dynamodb, lambda event: stack.events_app.handler(event, TimeLimit()))) as pump:
        pump.begin()
        stack.subscribe("acme", trial_days=1)
        stack.deliver_all()
        stack.advance(days=1)
        assert stack.events_app.handler({"scheduled_time": "now"}, TimeLimit()) == {"accesses_ended": 1}
        pump.run()

    assert recorder.calls["BillingEventsFunction"] == allowed("BillingEventsFunction")


def test_the_billing_api_may_do_what_it_does(stack: Stack, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    make_subscribed_organization(stack)
    for name in ("ALLOWED_PRICE_IDS", "ALLOWED_REDIRECT_HOSTS"):
        monkeypatch.setenv(name, json.loads(LOCAL_ENVIRONMENT.read_text())["Parameters"][name])
    handler = recorder.handling("BillingApiFunction", importlib.import_module("functions.billing_api.app").handler)
    events = {path.stem: json.loads(path.read_text()) for path in sorted((EVENTS / "billing_api").glob("*.json"))}
    for event in events.values():
        assert handler(event, TimeLimit(28_000))["statusCode"] < 300
    # A customer that was deleted at Stripe gets a successor.
    stack.simulator.account.customers.delete(str(stack.record("org-new").stripe_customer_id))
    assert handler(events["open_checkout_session"], TimeLimit(28_000))["statusCode"] == 201
    stack.meter()  # and one more is asked for, before a subscription ends at once
    monkeypatch.setenv("METERING_FUNCTION", "UsageMeteringFunction")
    assert handler(events["cancel_subscription"] | {"body": '{"at": "now"}'}, TimeLimit(28_000))["statusCode"] == 200

    assert recorder.calls["BillingApiFunction"] == allowed("BillingApiFunction")
