"""The stack on one machine: the real handlers, DynamoDB Local and the Stripe simulator, on the simulator's clock.

Tests and demo drive it: subscribe an organisation, deliver webhooks, record usage, let the schedule fire.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from billing import clock
from billing.meters import METERS
from billing.stripe_gateway.calls import StripeGateway, stripe_gateway
from billing.stripe_secrets import secrets_reader
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord
from operations.provisioning.account import plan_account
from operations.provisioning.catalogue import read_catalogue
from operations.provisioning.sales import Sales
from operations.provisioning.secrets import FileStore, StripeSecretDocument
from operations.provisioning.steps import changes
from programs.local.billed import BilledHour, billed_hours
from programs.local.http_api import HttpApi, webhook_request
from programs.local.sqs_event import sqs_event
from stripe_simulator import Delivery, Simulator

WEBHOOK_URL = "https://billing.example/stripe/webhook"
SNAPSHOT_SECRET, THIN_SECRET = "whsec_snapshot", "whsec_thin"


class TimeLimit:
    """The part of a Lambda context that the handlers use."""

    def __init__(self, remaining_ms: int = 900_000) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the webhook handler."""

    status: int
    body: dict[str, str]

    @property
    def outcome(self) -> str | None:
        return self.body.get("outcome")


class Stack:
    """Drive the stack. `prices` has the ids of the two metered prices by the event name of their meter."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.webhook_app = importlib.import_module("functions.stripe_webhook.app")
        self.metering_app = importlib.import_module("functions.usage_metering.app")
        self.reconciliation_app = importlib.import_module("functions.usage_reconciliation.app")
        self.ingestion_app = importlib.import_module("functions.usage_ingestion.app")
        self.events_app = importlib.import_module("functions.billing_events.app")
        self.customers: dict[str, set[str]] = {}

    # --- set up

    def make_meters(self) -> dict[str, str]:
        """Make the meters and a metered price of each; return the prices' ids by event name."""
        account, prices = self.simulator.account, {}
        product = account.products.create({"name": "Sensor monitoring"})
        for meter in METERS:
            made = account.meters.create(
                {
                    "display_name": meter.display_name,
                    "event_name": meter.event_name,
                    "event_time_window": "hour",
                    "default_aggregation": {"formula": meter.formula},
                }
            )
            price = account.prices.create(
                {
                    "product": product["id"],
                    "currency": "eur",
                    "unit_amount": "1",
                    "recurring": {"interval": "month", "usage_type": "metered", "meter": made["id"]},
                }
            )
            prices[meter.event_name] = price["id"]
        self.prices = prices
        return prices

    def provision(self, secrets_file: Path) -> None:
        """Make meters, prices and destinations as an operator does, and give the functions the signing secrets."""
        secrets = StripeSecretDocument(FileStore(secrets_file))
        catalogue = read_catalogue()
        sales = Sales(catalogue, stripe_gateway())
        for step in changes(plan_account(sales, stripe_gateway(), WEBHOOK_URL, secrets)):
            assert step.carry_out is not None
            step.carry_out()
        os.environ["STRIPE_WEBHOOK_SECRETS"] = ",".join(json.loads(secrets_file.read_text())["webhook_secrets"])
        secrets_reader.cache_clear()
        self.prices = {
            price.meter: sales.price_ids[price.lookup_key] for product in catalogue.products for price in product.prices
        }

    def add_destinations(self) -> None:
        """Register the two webhook destinations, each with its own signing secret."""
        self.simulator.webhooks.add_destination(secret=SNAPSHOT_SECRET)
        self.simulator.webhooks.add_destination(payload="thin", secret=THIN_SECRET)

    # --- Stripe's side

    def open_checkout(
        self, organization_id: str, *, customer: str | None = None, in_metadata: bool = True, trial_days: int = 0
    ) -> str:
        """Open a checkout session as the product does, or (not `in_metadata`) as a payment link; return its id."""
        named = {"metadata": {"organization_id": organization_id}} if in_metadata else {}
        params: dict[str, Any] = {
            "mode": "subscription",
            "client_reference_id": organization_id,
            "line_items": [{"price": price} for price in self.prices.values()],
            "success_url": "https://sensors.example/done",
            "subscription_data": named | ({"trial_period_days": trial_days} if trial_days else {}),
        } | ({} if customer is None else {"customer": customer})
        session_id: str = self.simulator.account.checkout_sessions.create(params)["id"]
        return session_id

    def subscribe(self, organization_id: str, *, at: datetime | None = None, **options: Any) -> tuple[str, str]:
        """Let an organisation go through checkout, now or in the past; its webhooks wait.

        Return its customer's and subscription's id.
        """
        now = clock.utc_now()
        self.simulator.clock.set(at or now)
        session = self.simulator.account.complete_checkout_session(self.open_checkout(organization_id, **options))
        self.simulator.clock.set(now)
        self.customers.setdefault(organization_id, set()).add(session["customer"])
        return session["customer"], session["subscription"]

    def subscribe_through_api(self, organization_id: str) -> tuple[str, str]:
        """Let an organisation subscribe as the product does, through the billing API; its webhooks wait.

        Return its customer's and subscription's id.
        """
        os.environ["ALLOWED_PRICE_IDS"] = ",".join(self.prices.values())
        os.environ["ALLOWED_REDIRECT_HOSTS"] = "sensors.example"
        body = {
            "price_ids": list(self.prices.values()),
            "success_url": "https://sensors.example/done",
            "cancel_url": "https://sensors.example/",
        }
        response = HttpApi().call("POST", f"/organizations/{organization_id}/checkout-sessions", body)
        assert response.status == 201, response.body
        session = self.simulator.account.complete_checkout_session(response.body["checkout_session_id"])
        self.customers.setdefault(organization_id, set()).add(session["customer"])
        return session["customer"], session["subscription"]

    # --- the webhook

    def request(self, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """Return the API Gateway event of a request."""
        return webhook_request(body, headers)

    def post(self, body: bytes, headers: dict[str, str]) -> Response:
        """Post a request to the webhook's handler."""
        response = self.webhook_app.handler(self.request(body, headers), TimeLimit())
        return Response(response["statusCode"], json.loads(response["body"]))

    def deliver(self, delivery: Delivery) -> Response:
        """Make one attempt of a delivery."""
        response = self.post(delivery.body, delivery.headers())
        delivery.record(response.status)
        return response

    def deliver_all(self, deliveries: Iterable[Delivery] | None = None) -> list[Response]:
        """Deliver what waits, or these, each once and in order."""
        return [
            self.deliver(delivery)
            for delivery in (self.simulator.webhooks.take() if deliveries is None else deliveries)
        ]

    def ingest(self, bodies: Sequence[str]) -> list[str]:
        """Let a batch of usage messages arrive; return those that are to come again."""
        failures = self.ingestion_app.handler(sqs_event(bodies), TimeLimit(60_000))["batchItemFailures"]
        return [bodies[int(failure["itemIdentifier"])] for failure in failures]

    # --- the schedule

    def meter(self, *, remaining_ms: int = 900_000) -> dict[str, Any]:
        """Let the metering schedule fire now; return the run's summary."""
        event = {"scheduled_time": clock.format_time(clock.utc_now())}
        summary: dict[str, Any] = self.metering_app.handler(event, TimeLimit(remaining_ms))
        return summary

    def reconcile(self, **request: Any) -> dict[str, Any]:
        """Let the reconciliation schedule fire now; return its summary."""
        summary: dict[str, Any] = self.reconciliation_app.handler(request, TimeLimit())
        return summary

    def advance(self, **duration: float) -> datetime:
        """Move the clock of everything by a `timedelta`'s arguments; return the new time."""
        self.simulator.clock.advance(timedelta(**duration).total_seconds())
        return clock.utc_now()

    # --- what came of it

    def record(self, organization_id: str) -> SubscriptionRecord:
        """Return an organisation's record."""
        record = SubscriptionRecord.of(organization_id, consistent=True)
        assert record is not None, f"{organization_id} has no record"
        return record

    def usage(self, organization_id: str, window_start: str) -> UsageRecord:
        """Return an hour's item."""
        return UsageRecord.get(organization_id, window_start, consistent_read=True)

    def due_hours(self) -> list[tuple[str, str]]:
        """Return the keys of all due hours."""
        return sorted((item.organization_id, item.window_start) for item in UsageRecord.scan() if item.due_at)

    def compare(self, organization_id: str, start: datetime, end: datetime) -> Iterator[BilledHour]:
        """Yield every meter hour of an organisation: what was counted, and what Stripe counts at its customers."""
        return billed_hours(self.simulator, organization_id, self.customers.get(organization_id, ()), start, end)

    def differences(self, organization_ids: Iterable[str], start: datetime, end: datetime) -> list[BilledHour]:
        """Return the meter hours in which Stripe counts something else than was counted."""
        return [
            hour
            for organization_id in organization_ids
            for hour in self.compare(organization_id, start, end)
            if hour.counted != hour.at_stripe
        ]


@contextmanager
def running_stack(
    simulator: Simulator, dynamodb_endpoint: str, *, start: datetime, secrets_file: Path | None = None
) -> Iterator[Stack]:
    """Run the stack's code in this process against a simulator and tables that exist, from `start` on.

    With a `secrets_file` the Stripe account is provisioned as an operator does it; else it has the same, made quickly.
    The environment and the clock are put back at the end.
    """
    simulator.clock.set(start)
    with _environment(simulator.base_url, dynamodb_endpoint), _clock_of(simulator):
        stack = Stack(simulator)
        if secrets_file is not None:
            stack.provision(secrets_file)
        else:
            stack.make_meters()
            stack.add_destinations()
        yield stack


@contextmanager
def _environment(stripe_url: str, dynamodb_endpoint: str) -> Iterator[None]:
    environment = {
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_endpoint,
        "STRIPE_API_BASE": stripe_url,
        "STRIPE_METER_EVENTS_BASE": stripe_url,
        "STRIPE_SECRET_KEY": "sk_test_simulator",
        "STRIPE_WEBHOOK_SECRETS": f"{SNAPSHOT_SECRET},{THIN_SECRET}",
        "METER_EVENTS_PER_SECOND": "100000",
        "RECONCILIATION_CALLS_PER_SECOND": "100000",
        "POWERTOOLS_SERVICE_NAME": "stack",
        "ALLOWED_PRICE_IDS": "",
        "ALLOWED_REDIRECT_HOSTS": "",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    secrets_reader.cache_clear()
    stripe_gateway.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _clock_of(simulator: Simulator) -> Iterator[None]:
    """Let the code's time be the simulator's, and the waits between attempts take none."""
    real_now, real_backoff = clock.utc_now, StripeGateway.back_off
    clock.utc_now = lambda: clock.from_unix(simulator.clock.now())
    StripeGateway.back_off = staticmethod(lambda attempt: None)  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        clock.utc_now = real_now
        StripeGateway.back_off = staticmethod(real_backoff)  # type: ignore[method-assign]  # as it was
