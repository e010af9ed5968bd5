"""Life with a deployed stack: checkout, webhooks, usage, runs, comparisons, and what Stripe counts in the end.

Whatever AWS does between the functions and cannot be emulated is done here: the schedules' start, the queues' messages.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from programs.local.http_api import HttpApi, webhook_request
from programs.rehearsal.deployment import Deployment, InvocationError
from programs.rehearsal.emulator import STRIPE_KEY
from stripe_simulator import Delivery

READINGS, SENSORS = "temperature_readings", "active_sensors"
SITE = "sensors.example"


def written(moment: datetime) -> str:
    """Write a moment as the tables do."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Life:
    """What happens to a deployed stack, at the simulator's time."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.emulator = deployment.emulator
        self.account = self.emulator.simulator.account
        self.customers: dict[str, set[str]] = {}
        self._database = self.emulator.client("dynamodb")

    # --- time

    def now(self) -> datetime:
        """Return the present moment."""
        return datetime.fromtimestamp(self.emulator.simulator.clock.now(), UTC)

    def go_to(self, moment: datetime) -> None:
        """Let time pass."""
        self.emulator.simulator.clock.set(moment)

    # --- the operator

    def put_key(self) -> None:
        """Put Stripe's key into the stack's secret, as docs/deploy.md says."""
        text = json.dumps({"api_key": STRIPE_KEY, "webhook_secrets": []})
        secret = self.deployment.outputs()["StripeSecretArn"]
        self.emulator.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=text)

    def secret(self) -> str:
        """Return the text of the stack's secret."""
        secret = self.deployment.outputs()["StripeSecretArn"]
        return str(self.emulator.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])

    def prices(self) -> dict[str, str]:
        """Return the ids of the provisioned prices, by their lookup key."""
        return dict(json.loads(self.deployment.operate("--json", "provision"))["price_ids"])

    # --- Stripe's side

    def subscribe(self, organization_id: str, prices: Iterable[str], **options: Any) -> tuple[str, str]:
        """Let an organisation go through a checkout of the seller's own; its webhooks wait."""
        session = self.account.checkout_sessions.create(
            {
                "mode": "subscription",
                "client_reference_id": organization_id,
                "line_items": [{"price": price} for price in prices],
                "success_url": f"https://{SITE}/done",
                "subscription_data": {"metadata": {"organization_id": organization_id}},
                **options,
            }
        )
        return self._pay(organization_id, session["id"])

    def subscribe_through_api(self, organization_id: str, prices: Iterable[str]) -> tuple[str, str]:
        """Let an organisation subscribe through the billing API; its webhooks wait."""
        site = f"https://{SITE}"
        body = {"price_ids": list(prices), "success_url": f"{site}/done", "cancel_url": f"{site}/"}
        path = f"/organizations/{organization_id}/checkout-sessions"
        event = HttpApi().event("POST", path, json.dumps(body), {}, {"content-type": "application/json"})
        response = self.deployment.invoke("BillingApiFunction", event)
        if response["statusCode"] != 201:
            raise InvocationError(f"No checkout opens: {response['statusCode']} {response['body']}")
        return self._pay(organization_id, json.loads(response["body"])["checkout_session_id"])

    def _pay(self, organization_id: str, session_id: str) -> tuple[str, str]:
        session = self.account.complete_checkout_session(session_id)
        self.customers.setdefault(organization_id, set()).add(session["customer"])
        return session["customer"], session["subscription"]

    def deliver(self, deliveries: Iterable[Delivery] | None = None) -> list[str]:
        """Deliver what waits, or these; return what the webhook responded."""
        outcomes = []
        for delivery in self.emulator.simulator.webhooks.take() if deliveries is None else deliveries:
            request = webhook_request(delivery.body, delivery.headers())
            response = self.deployment.invoke("StripeWebhookFunction", request)
            delivery.record(response["statusCode"])
            outcomes.append(json.loads(response["body"]).get("outcome", response["body"]))
        return outcomes

    # --- usage

    def read_sensors(self, organization_id: str, hour: datetime, readings: int, sensors: int | None = None) -> None:
        """Record an hour's usage, as a writer in any language does (docs/usage.md)."""
        changes = "SET due_shard = :shard, due_at = :end"
        values: dict[str, Any] = {
            ":shard": {"N": str(zlib.crc32(organization_id.encode()) % 16)},
            ":end": {"S": written(hour + timedelta(hours=1))},
            ":readings": {"N": str(readings)},
        }
        if sensors is not None:
            changes += f", {SENSORS} = :sensors, {SENSORS}_at = :at"
            values |= {":sensors": {"N": str(sensors)}, ":at": {"S": written(hour + timedelta(minutes=59))}}
        self._database.update_item(
            TableName=self.deployment.outputs()["UsageTableName"],
            Key={"organization_id": {"S": organization_id}, "window_start": {"S": written(hour)}},
            UpdateExpression=f"ADD {READINGS} :readings {changes}",
            ExpressionAttributeValues=values,
        )

    def send_usage(self, organization_id: str, at: datetime, readings: int, event_id: str) -> int:
        """Send a usage event, and let what waits in the queue be counted; return how many messages there were."""
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "rehearsal",
            "type": READINGS,
            "subject": organization_id,
            "time": written(at),
            "data": {"value": readings},
        }
        url = self.deployment.outputs()["UsageQueueUrl"]
        self.emulator.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))
        return self.process_messages("UsageIngestionFunction", url)

    # --- what AWS starts

    def meter(self, **request: Any) -> Any:
        """Let the hourly schedule fire, with the input that the template gives it; return the run's summary."""
        event = self._input("UsageMeteringFunctionHourly")
        return self.deployment.invoke("UsageMeteringFunction", event, **request)

    def reconcile(self) -> int:
        """Let the daily schedule fire and the queue's messages be processed; return how many there were."""
        self.deployment.invoke("UsageReconciliationFunction", self._input("UsageReconciliationFunctionDaily"))
        url = self.deployment.variables("UsageReconciliationFunction")["RECONCILIATION_QUEUE_URL"]
        return self.process_messages("UsageReconciliationFunction", url)

    def _input(self, schedule: str) -> Any:
        text = self.deployment.template()["Resources"][schedule]["Properties"]["Target"]["Input"]
        return json.loads(text.replace("<aws.scheduler.scheduled-time>", written(self.now())))

    def process_messages(self, function: str, url: str) -> int:
        """Give a function the messages of a queue until there are no more; return how many there were."""
        sqs = self.emulator.client("sqs")
        for processed in range(1000):
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, AttributeNames=["All"]).get("Messages")
            if not messages:
                return processed
            (message,) = messages
            record = {
                "messageId": message["MessageId"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "eventSource": "aws:sqs",
            }
            failed = self.deployment.invoke(function, {"Records": [record]})["batchItemFailures"]
            if failed:
                raise InvocationError(f"{function} failed on {message['Body']}")
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        raise InvocationError(f"{url} does not become empty")

    # --- what came of it

    def items(self, output: str) -> list[dict[str, Any]]:
        """Return the items of the table that an output names."""
        return scanned(self._database, self.deployment.outputs()[output])

    def counted(self, organization_id: str, event_name: str) -> dict[str, int]:
        """Return what was counted for an organisation, by hour."""
        return {
            item["window_start"]["S"]: int(item[event_name]["N"])
            for item in self.items("UsageTableName")
            if item["organization_id"]["S"] == organization_id and event_name in item
        }

    def at_stripe(self, organization_id: str, event_name: str) -> dict[str, int]:
        """Return what Stripe counts for an organisation's customers, by hour."""
        counted: dict[str, int] = {}
        for customer in self.customers.get(organization_id, ()):
            for seconds, value in self.account.hourly(customer, event_name).items():
                hour = written(datetime.fromtimestamp(seconds, UTC))
                counted[hour] = counted.get(hour, 0) + value
        return counted


def scanned(database: Any, table: str) -> list[dict[str, Any]]:
    """Return all items of a table, in an order that stays."""
    pages = database.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return sorted((item for page in pages for item in page["Items"]), key=lambda item: json.dumps(item, sort_keys=True))
