"""Each thing that can be wrong, broken in a stack that is right, and the line that tells of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billing import clock
from billing.metered_subscriptions import MeteredSubscription
from billing.tables.customers import CustomerRecord
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.table import client
from billing.tables.usage import UsageRecord, shard_of
from operations.doctor.queues import DEAD_LETTER_QUEUES
from tests.operations.deployed import NAME, Deployed


def _first(objects: Any) -> Any:
    return next(iter(objects.values()))


def _price(world: Deployed, **fields: Any) -> None:
    _first(world.account.prices.objects).update(fields)


def _destination(world: Deployed, payload: str, **fields: Any) -> None:
    for destination in world.stack.simulator.webhooks.destinations.values():
        if destination.payload == payload:
            for name, value in fields.items():
                setattr(destination, name, value)


def portal_ends_at_once(world: Deployed) -> None:
    configuration = _first(world.account.portal_configurations.objects)
    configuration["features"]["subscription_cancel"]["mode"] = "immediately"


def _grace(world: Deployed, minutes: int | None) -> None:
    for invoice in world.account.invoices.objects.values():
        if invoice["billing_reason"] == "subscription_cycle":
            end = None if minutes is None else invoice["created"] + 60 * minutes
            if minutes is None:
                invoice |= {"status": "draft", "automatically_finalizes_at": None}
            invoice["status_transitions"]["finalized_at"] = end


def _newest_event_never_came(world: Deployed) -> None:
    world.account.customers.create({})
    subscription = _first(world.account.subscriptions.objects)["id"]
    world.account.subscriptions.update(subscription, {"metadata": {"note": "x"}})
    world.stack.advance(minutes=30)
    world.put_metric(f"SensorBilling/{NAME}", "runs_succeeded", 1, ("service", "metering"))


def _forget_newest_thin(world: Deployed) -> None:
    for event_id in world.account.events.thin:
        StripeEventRecord(event_id).delete()


def _two_subscriptions(world: Deployed) -> None:
    record = SubscriptionRecord.of("acme")
    assert record is not None
    (first, *_) = record.metered_subscriptions or ()
    second = MeteredSubscription("sub_2", first.customer_id, first.started_at, None, first.meters, first.period_starts)
    record.update([SubscriptionRecord.metered_subscriptions.set((first, second))])


def _lost_period(world: Deployed) -> None:
    record = SubscriptionRecord.of("acme")
    assert record is not None
    (only, *_) = record.metered_subscriptions or ()
    old = MeteredSubscription(
        only.subscription_id, only.customer_id, only.started_at, None, only.meters, only.period_starts[:1]
    )
    record.update([SubscriptionRecord.metered_subscriptions.set((old,))])


def _at(hour: str) -> str:
    return f"2026-12-20T{hour}:00:00Z"


def _hour(hour: str, **fields: Any) -> Callable[[Deployed], object]:
    return lambda world: UsageRecord("acme", _at(hour), temperature_readings=1, **fields).save()


def _damaged_hour(world: Deployed) -> None:
    item: Any = {"organization_id": {"S": "acme"}, "window_start": {"S": _at("05")}}
    UsageRecord.of("acme", _at("05"))  # PynamoDB knows the table from here on
    client().put_item(TableName=UsageRecord.name(), Item=item | {"reported": {"S": "?"}})


def _waiting_usage(world: Deployed) -> None:
    world.send("UsageQueueUrl")
    name = world.cloudformation.outputs["UsageQueueUrl"].rpartition("/")[2]
    world.put_metric("AWS/SQS", "ApproximateAgeOfOldestMessage", 3600, ("QueueName", name))


def _alarm(world: Deployed) -> None:
    cloudwatch = world.client("cloudwatch")
    cloudwatch.put_metric_alarm(AlarmName=f"{NAME}-hours-refused", ComparisonOperator="LessThanThreshold",
                                EvaluationPeriods=1, MetricName="x", Namespace="x", Period=60, Statistic="Sum",
                                Threshold=1)  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=f"{NAME}-hours-refused", StateValue="ALARM", StateReason="test")


def _nobody(world: Deployed) -> None:
    sns, topic = world.client("sns"), world.cloudformation.outputs["AlarmTopicArn"]
    for subscription in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    _parameters(Environment="staging")(world)


def _parameters(**values: str) -> Callable[[Deployed], None]:
    return lambda world: world.cloudformation.parameters.update(values)


def _no_resource(world: Deployed) -> None:
    world.cloudformation.resources.pop("UsageMeteringFunctionHourly")


def _later(world: Deployed) -> None:
    world.stack.advance(hours=4)


BROKEN: dict[str, tuple[Callable[[Deployed], object], str, str, str]] = {
    "no key yet": (lambda w: w.put_secret(api_key="", webhook_secrets=[]), "Stripe key", "not set up yet", "deploy.md"),
    "no secret's form": (lambda w: w.put_secret(api_key=7), "Stripe key", "is not of the form", "deploy.md"),
    "publishable key": (lambda w: w.put_secret(api_key="pk_test_x"), "Stripe key", "no sk_… or rk_…", "restricted"),
    "live key in dev": (lambda w: w.put_secret(api_key="rk_live_x"), "Stripe key", "live", "test key"),
    "test key in prod": (_parameters(Environment="prod"), "Stripe key", "test", "live key"),
    "no signing secret": (lambda w: w.put_secret(webhook_secrets=[]), "Signing secrets", "none", "provision"),
    "one signing secret": (lambda w: w.put_secret(webhook_secrets=["whsec_1"]), "Signing secrets", "one", "provision"),
    "other secrets": (
        lambda w: w.put_secret(webhook_secrets=["whsec_1", "whsec_2"]),
        "Thin destination",
        "its signing secret is not stored",
        "provision",
    ),
    "no permission": (
        lambda w: w.stack.simulator.faults.add("http_403", "/v1/invoices*", method="POST", message="rak_invoice_write"),
        "Key's permissions",
        "it may not: Invoices (write)",
        "rak_invoice_write",
    ),
    "revoked key": (
        lambda w: w.stack.simulator.faults.add("http_401"),
        "Key's permissions",
        "does not accept the key",
        "new one",
    ),
    "meter off": (
        lambda w: w.account.meters.deactivate(w.account.meters.by_name["active_sensors"]["id"]),
        "Meter active_sensors",
        "not active",
        "provision",
    ),
    "wrong meter": (
        lambda w: w.account.meters.by_name["temperature_readings"].update(event_time_window=None),
        "Meter temperature_readings",
        "event_time_window",
        "no run sends",
    ),
    "archived price": (lambda w: _price(w, active=False), "Price active_sensors_monthly", "archived", "provision"),
    "no portal": (
        lambda w: w.account.portal_configurations.objects.clear(),
        "Customer portal",
        "cannot be opened",
        "provision",
    ),
    "portal ends at once": (portal_ends_at_once, "Customer portal", "at once", "provision"),
    "short grace": (lambda w: _grace(w, 20), "Grace period", "20 minutes", "an hour or more"),
    "no finalization": (lambda w: _grace(w, None), "Grace period", "never made final", "automatic finalization"),
    "destination off": (lambda w: _destination(w, "thin", enabled=False), "Thin destination", "enable it", "provision"),
    "event types": (
        lambda w: _destination(w, "snapshot", enabled_events=["invoice.paid"]),
        "Snapshot destination",
        "+checkout.session.completed",
        "provision",
    ),
    "API version": (
        lambda w: _destination(w, "snapshot", api_version="2024-06-20"),
        "Snapshot destination",
        "API version 2024-06-20",
        "provision",
    ),
    "elsewhere": (
        lambda w: _destination(w, "snapshot", url="https://elsewhere.example/"),
        "Snapshot destination",
        "there is none",
        "provision",
    ),
    "nothing arrives": (_newest_event_never_came, "Snapshot events", "Stripe still tries", "replay-events"),
    "thin events": (_forget_newest_thin, "Thin events", "did not arrive", "replay-events evt_"),
    "two on one meter": (_two_subscriptions, "One subscription a meter", "acme", "Cancel one"),
    "period not told": (_lost_period, "Periods known", "acme", "refresh"),
    "one customer, two organisations": (
        lambda w: CustomerRecord(
            SubscriptionRecord.get("acme").stripe_customer_id, organization_id="globex", claimed_at=clock.utc_now()
        ).save(),
        "One organisation a customer",
        "acme, globex",
        "customer-conflict",
    ),
    "schedule changed": (
        lambda w: w.set_schedule("UsageMeteringFunctionHourly", "DISABLED"),
        "Hourly run",
        "changed outside",
        "Deploy again",
    ),
    "no schedule": (_no_resource, "Hourly run", "no schedule", "Deploy again"),
    "no run": (_later, "Last successful run", "in the hour from", "metering-does-not-run"),
    "overdue": (
        _hour("08", due_shard=shard_of("acme"), due_at=_at("09")),
        "Oldest due hour",
        "ended 2026-12-20T09:00:00Z",
        "hours-are-overdue",
    ),
    "wrong shard": (
        _hour("07", due_shard=99, due_at=_at("08")),
        "Hidden hours",
        "T07:00:00Z",
        "reconcile",
    ),
    "refused": (
        _hour("06", refused="no_customer: x"),
        "Refused hours",
        "1 no_customer",
        "requeue-refused",
    ),
    "not due": (_hour("04"), "Unreported hours, all", "T04:00:00Z", "reconcile"),
    "half due": (
        _hour("03", due_shard=3),
        "Hidden hours, all",
        "T03:00:00Z",
        "reconcile",
    ),
    "damaged": (_damaged_hour, "Damaged hours, all", "T05:00:00Z", "hours-damaged"),
    "usage waits": (_waiting_usage, "Usage queue", "60 minutes", "usage-waits"),
    **{
        output: (lambda w, output=output: w.send(output), output.removesuffix("Url"), "1 message", advice)  # type: ignore[misc]
        for output, advice in DEAD_LETTER_QUEUES.items()
    },
    "alarm": (_alarm, "Alarms", "hours-refused", "runbook.md"),
    "nobody is told": (_nobody, "Alarms' receivers", "nobody, in staging", "AlarmEmail"),
    "workers": (_parameters(MeteringWorkers="4"), "MeteringWorkers", "no queue", "Deploy again"),
    "stream": (_parameters(MeterEventTransport="stream"), "MeterEventTransport", "test key", "auto"),
}


# What changes more lines than its own.
ALONE = {
    *("no key yet", "no secret's form", "publishable key", "live key in dev", "test key in prod", "no signing secret"),
    *("one signing secret", "other secrets", "revoked key", "nothing arrives", "no run", "period not told"),
}


def together() -> list[list[str]]:
    """Return the cases in groups that can be broken at once: no two have the same line."""
    groups = [[case] for case in BROKEN if case in ALONE]
    for case, (_, subject, _, _) in BROKEN.items():
        if case not in ALONE:
            for group in groups[len(ALONE) :]:
                if subject not in {BROKEN[each][1] for each in group}:
                    group.append(case)
                    break
            else:
                groups.append([case])
    return groups
