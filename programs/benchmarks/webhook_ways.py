"""The ways to refresh a subscription that this handler is measured beside."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

SECRET = "whsec_benchmark"
IDEMPOTENCY_TABLE = "IdempotencyTable"


def refresh(event: Any, gateway: Any) -> str:
    """Refresh the subscription as this handler does, but for the event's record: under its version, until it is in."""

    from billing import clock
    from billing.settings import grace_period
    from billing.tables.subscriptions import SubscriptionRecord
    from billing.webhooks import ledger
    from billing.webhooks.choice import choose
    from billing.webhooks.decision import changes
    from billing.webhooks.events import subscription_pointer
    from billing.webhooks.refresh import find

    pointer = subscription_pointer(event)
    assert pointer is not None
    organization_id = str(pointer.organization_id)
    while True:
        record = SubscriptionRecord.of(organization_id)
        assert record is not None
        before = ledger.stored(record)
        fetched = choose(find(gateway, organization_id, pointer, before), before)
        assert fetched is not None
        values = changes(before, fetched, None, clock.utc_now(), grace_period())
        actions = [ledger._action(name, value) for name, value in values.items()]
        if SubscriptionRecord(organization_id).update_if(actions, ledger._is_as_read(before)):
            return organization_id


def without_claims(deliver: Callable[..., Any]) -> Callable[..., Any]:
    """Return this handler's way without the call that lets deliveries which come together share a fetch."""
    from billing.webhooks import ledger

    def unclaimed(event: Any, gateway: Any) -> Any:
        claim, ledger.claim = ledger.claim, lambda organization_id, record: True
        try:
            return deliver(event, gateway)
        finally:
            ledger.claim = claim

    return unclaimed


def look_up_first(event: Any, gateway: Any) -> Any:
    """Look the event up, work, record it."""
    from billing import clock
    from billing.tables.stripe_events import StripeEventRecord
    from billing.webhooks.delivery import Delivered

    if StripeEventRecord.recorded(event.event_id):
        return Delivered("duplicate")
    organization_id = refresh(event, gateway)
    StripeEventRecord.made(
        event.event_id, event.event_type, event.created, "processed", organization_id, clock.utc_now()
    ).save()
    return Delivered("processed", organization_id)


def powertools_deliver() -> Callable[..., Any]:
    """Return the refresh under Powertools' Idempotency."""
    from aws_lambda_powertools.utilities.idempotency import (
        DynamoDBPersistenceLayer,
        IdempotencyConfig,
        idempotent_function,
    )

    from billing.webhooks.delivery import Delivered

    # Without a Lambda context it warns that a crash would block the event until the record expires.
    warnings.filterwarnings("ignore", module="aws_lambda_powertools")
    working = threading.local()

    @idempotent_function(  # type: ignore[untyped-decorator]
        data_keyword_argument="event_id",
        persistence_store=DynamoDBPersistenceLayer(table_name=IDEMPOTENCY_TABLE),
        config=IdempotencyConfig(expires_after_seconds=90 * 86400),
    )
    def once(*, event_id: str) -> dict[str, Any]:
        return {"outcome": "processed", "organization_id": refresh(working.event, working.gateway)}

    def deliver(event: Any, gateway: Any) -> Any:
        working.event, working.gateway = event, gateway
        return Delivered(**once(event_id=event.event_id))

    return deliver


class Floor:
    """This handler's calls with nothing around them."""

    def __init__(self, base_url: str) -> None:
        import boto3

        self.client = boto3.client("dynamodb")
        self.connection = http.client.HTTPConnection(base_url.removeprefix("http://"))

    def handle(self, http_event: dict[str, Any]) -> int:
        """Verify, read, claim, fetch, write."""
        event = _verified(http_event)
        if event is None:
            return 400
        subject = event["data"]["object"]
        organization_id = subject["metadata"]["organization_id"]
        record = self._read(event["id"], organization_id)
        if record is None:
            return 200
        self._claim(organization_id, record)
        self._write(event, organization_id, record, self._fetch(subject["customer"]))
        return 200

    def _read(self, event_id: str, organization_id: str) -> Any:
        """Return the organisation's record, None where the event has its own."""
        found: Any = self.client.batch_get_item(
            RequestItems={
                "StripeEventsTable": {
                    "Keys": [{"event_id": {"S": event_id}}],
                    "ProjectionExpression": "event_id",
                    "ConsistentRead": True,
                },
                "SubscriptionsTable": {"Keys": [{"organization_id": {"S": organization_id}}], "ConsistentRead": True},
            }
        )["Responses"]
        return None if found["StripeEventsTable"] else found["SubscriptionsTable"][0]

    def _claim(self, organization_id: str, record: Any) -> None:
        self.client.update_item(
            TableName="SubscriptionsTable",
            Key={"organization_id": {"S": organization_id}},
            UpdateExpression="SET refreshing_since = :now",
            ConditionExpression="version = :version "
            "AND (attribute_not_exists(refreshing_since) OR refreshing_since <= :void)",
            ExpressionAttributeValues={
                ":now": {"N": f"{time.time():.3f}"},
                ":void": {"N": f"{time.time() - 3:.3f}"},
                ":version": record["version"],
            },
        )

    def _fetch(self, customer_id: str) -> Any:
        self.connection.request(
            "GET",
            f"/v1/subscriptions?customer={customer_id}&status=all&limit=100",
            headers={"Authorization": "Bearer sk_test_benchmark"},
        )
        (subscription,) = json.loads(self.connection.getresponse().read())["data"]
        return subscription

    def _write(self, event: Any, organization_id: str, record: Any, subscription: Any) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        item = record | {
            "status": {"S": subscription["status"]},
            "version": {"N": str(int(record["version"]["N"]) + 1)},
            "last_event_id": {"S": event["id"]},
            "fetched_at": {"S": now},
            "updated_at": {"S": now},
        }
        recorded = {
            "event_id": {"S": event["id"]},
            "event_type": {"S": event["type"]},
            "created": {"N": str(event["created"])},
            "outcome": {"S": "processed"},
            "organization_id": {"S": organization_id},
            "processed_at": {"S": now},
            "expires_at": {"N": str(int(time.time()) + 90 * 86400)},
        }
        event_put: Any = {"TableName": "StripeEventsTable", "Item": recorded}
        event_put["ConditionExpression"] = "attribute_not_exists(event_id)"
        subscription_put: Any = {"TableName": "SubscriptionsTable", "Item": item}
        subscription_put["ConditionExpression"] = "version = :version"
        subscription_put["ExpressionAttributeValues"] = {":version": record["version"]}
        self.client.transact_write_items(TransactItems=[{"Put": event_put}, {"Put": subscription_put}])


def _verified(http_event: dict[str, Any]) -> Any:
    """Return the event, None where its signature is wrong."""
    body, header = http_event["body"], http_event["headers"]["stripe-signature"]
    timestamp, signature = (part.partition("=")[2] for part in header.split(",")[:2])
    expected = hmac.new(SECRET.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()
    return json.loads(body) if hmac.compare_digest(expected, signature) else None
