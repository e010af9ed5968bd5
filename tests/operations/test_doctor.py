"""`operate doctor`: a stack that is right is all good; each thing that is broken is one bad line with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from billing import clock
from billing.metered_subscriptions import MeteredSubscription
from billing.tables.customers import CustomerRecord
from billing.tables.stripe_events import StripeEventRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord, end_of, shard_of
from operations.doctor.queues import DEAD_LETTER_QUEUES
from operations.doctor.schedule import SCHEDULES
from programs.local.cloudformation import read_template
from programs.local.stack import Stack, running_stack
from stripe_simulator import Simulator
from tests.operations.conftest import START, Operate
from tests.operations.deployed import NAME, Deployed, Refusing, deployed
from tests.template.expanded import expand

HOUR = "2026-12-20T08:00:00Z"


@pytest.fixture
def stack(dynamodb: object, dynamodb_endpoint: str, simulator: Simulator, tmp_path: Path) -> Iterator[Stack]:
    """Give a stack whose Stripe account is provisioned as an operator does it."""
    secrets_file = tmp_path / "secrets.json"
    with running_stack(simulator, dynamodb_endpoint, start=START, secrets_file=secrets_file) as running:
        yield running


@pytest.fixture
def world(stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with deployed(stack, monkeypatch) as made:
        yield made


def _lines(operate: Operate, *options: str, code: int) -> dict[str, dict[str, str]]:
    ran = operate("--json", "--stack", NAME, "doctor", *options)
    assert ran.code == code, ran.out
    return {line["subject"]: line for line in ran.json["lines"]}


def test_a_stack_that_is_right_is_all_good(world: Deployed, operate: Operate) -> None:
    ran = operate("--json", "--stack", NAME, "doctor", "--deep")
    assert [line for line in ran.json["lines"] if line["verdict"] != "good"] == []
    assert (ran.code, ran.json["bad"], ran.json["unknown"]) == (0, 0, 0)
    assert ran.json["good"] == len(ran.json["lines"]) > 30
    assert all(line["advice"] == "" for line in ran.json["lines"])


# --- what is bad


def _first(objects: Any) -> Any:
    return next(iter(objects.values()))


def _price(world: Deployed, **fields: Any) -> None:
    _first(world.account.prices.objects).update(fields)


def _destination(world: Deployed, payload: str, **fields: Any) -> None:
    for destination in world.stack.simulator.webhooks.destinations.values():
        if destination.payload == payload:
            for name, value in fields.items():
                setattr(destination, name, value)


def _portal(world: Deployed) -> None:
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
    (first,) = record.metered_subscriptions or ()
    second = MeteredSubscription("sub_2", first.customer_id, first.started_at, None, first.meters, first.period_starts)
    record.update([SubscriptionRecord.metered_subscriptions.set((first, second))])


def _lost_period(world: Deployed) -> None:
    record = SubscriptionRecord.of("acme")
    assert record is not None
    (only,) = record.metered_subscriptions or ()
    old = MeteredSubscription(
        only.subscription_id, only.customer_id, only.started_at, None, only.meters, only.period_starts[:1]
    )
    record.update([SubscriptionRecord.metered_subscriptions.set((old,))])


def _hour(**fields: Any) -> Callable[[Deployed], None]:
    def save(world: Deployed) -> None:
        UsageRecord("acme", HOUR, temperature_readings=1, **fields).save()

    return save


def _damaged_hour(world: Deployed) -> None:
    item: Any = {"organization_id": {"S": "acme"}, "window_start": {"S": HOUR}, "reported": {"S": "?"}}
    UsageRecord.of("acme", HOUR)
    from billing.tables.table import client

    client().put_item(TableName=UsageRecord.name(), Item=item)


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
    "portal ends at once": (_portal, "Customer portal", "at once", "provision"),
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
        _hour(due_shard=shard_of("acme"), due_at=end_of(HOUR)),
        "Oldest due hour",
        "ended 2026-12-20T09:00:00Z",
        "hours-are-overdue",
    ),
    "wrong shard": (_hour(due_shard=99, due_at=end_of(HOUR)), "Hidden hours", f"acme {HOUR}", "reconcile"),
    "refused": (_hour(refused="no_customer: x"), "Refused hours", "1 no_customer", "requeue-refused"),
    "not due": (_hour(), "Unreported hours, all", f"acme {HOUR}", "reconcile"),
    "half due": (_hour(due_shard=3), "Hidden hours, all", f"acme {HOUR}", "reconcile"),
    "damaged": (_damaged_hour, "Damaged hours, all", f"acme {HOUR}", "hours-damaged"),
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


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_one_bad_line_with_what_to_do(case: str, world: Deployed, operate: Operate) -> None:
    break_it, subject, detail, advice = BROKEN[case]
    break_it(world)

    line = _lines(operate, "--deep", code=1)[subject]

    assert line["verdict"] == "bad"
    assert detail in line["detail"]
    assert advice in line["advice"]


# --- what is unknown


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        ("sts", "AWS"),
        ("scheduler", "Schedules"),
        ("cloudwatch", "Last successful run"),
        ("cloudwatch", "Alarms"),
        ("sns", "Alarms' receivers"),
        ("sqs", "Usage queue"),
        ("sqs", "ReconciliationDeadLetterQueue"),
    ],
)
def test_what_your_credentials_may_not_look_at_is_unknown_and_the_rest_goes_on(
    service: str, subject: str, world: Deployed, operate: Operate
) -> None:
    everything = len(_lines(operate, code=0))
    world.clients[service] = Refusing()
    lines = _lines(operate, code=3)
    assert lines[subject]["verdict"] == "unknown"
    assert "your credentials may not" in lines[subject]["detail"]
    assert "arn:secret" not in str(lines), "AWS's messages are not told"
    assert len(lines) >= everything - 1
    assert lines["Meter active_sensors"]["verdict"] == "good"


def test_without_stripe_its_lines_are_unknown_and_it_is_asked_only_once(world: Deployed, operate: Operate) -> None:
    world.stack.simulator.faults.add("http_503")
    world.stack.simulator.requests.clear()
    lines = _lines(operate, code=3)
    unknown = {subject for subject, line in lines.items() if line["verdict"] == "unknown"}
    assert unknown == {
        *("Key's permissions", "Meters", "Prices", "Customer portal", "Grace period", "Webhook destinations", "Events")
    }
    assert len({request.path for request in world.stack.simulator.requests}) == 1


def test_a_check_that_stripe_does_not_let_the_key_do_is_unknown(world: Deployed, operate: Operate) -> None:
    world.stack.simulator.faults.add("http_403", "/v1/billing_portal/*", message="Having rak_portal_read would help")
    lines = _lines(operate, code=1)
    assert lines["Customer portal"]["verdict"] == "unknown"
    assert "rak_portal_read" in lines["Customer portal"]["advice"]
    assert lines["Grace period"]["verdict"] == "good"


def test_without_a_key_stripe_is_not_asked(world: Deployed, operate: Operate) -> None:
    world.put_secret(api_key="", webhook_secrets=[])
    world.stack.simulator.requests.clear()
    lines = _lines(operate, code=1)
    assert lines["Meters"]["detail"] == "there is no key to ask Stripe with"
    assert lines["Records"]["verdict"] == "good"
    assert len(world.stack.simulator.requests) == 0


def test_a_missing_table_is_bad_and_the_rest_goes_on(world: Deployed, operate: Operate) -> None:
    world.cloudformation.outputs["UsageTableName"] = "NoSuchTable"
    lines = _lines(operate, code=1)
    assert (lines["Oldest due hour"]["verdict"], lines["Oldest due hour"]["detail"]) == ("bad", "the table is missing")
    assert lines["Usage queue"]["verdict"] == "good"


def test_a_defect_of_one_check_hides_no_other(
    world: Deployed, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.doctor.hours.oldest_due", lambda: 1 / 0)
    lines = _lines(operate, code=3)
    assert lines["Oldest due hour"]["verdict"] == "unknown"
    assert lines["Hidden hours"]["verdict"] == "good"


def test_what_nothing_has_shown_yet_is_unknown(
    dynamodb: object, dynamodb_endpoint: str, simulator: Simulator, operate: Operate
) -> None:
    with running_stack(simulator, dynamodb_endpoint, start=START):
        ran = operate("--json", "doctor")
    lines = {line["subject"]: line for line in ran.json["lines"]}
    for subject in ("Stack", "Grace period", "Snapshot events", "Thin events", "Webhook destinations"):
        assert lines[subject]["verdict"] == "unknown", subject
        assert lines[subject]["advice"]
    assert not {"Hourly run", "Alarms"} & lines.keys(), "only a stack has these"


# --- how it is shown


def test_it_fits_80_columns_and_says_what_to_do(
    world: Deployed, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _portal(world)
    ran = operate("--stack", NAME, "doctor", "--deep")
    lines = ran.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("bad ") and "Customer portal" in line for line in lines)
    assert any(line.strip() == "→ Run `operate provision --apply`." for line in lines)
    assert "…" not in ran.out, "nothing is cut off"
    assert "1 bad, 0 unknown." in lines[-1]
    assert ran.code == 1


def test_no_secret_is_printed(world: Deployed, operate: Operate) -> None:
    world.stack.simulator.faults.add("http_403", "/v1/prices", message="The key rk_test_deployed lacks rak_price_read")
    world.stack.simulator.faults.add("http_400", "/v1/billing/meters", message="rk_test_deployed")
    signing = [each.secret for each in world.stack.simulator.webhooks.destinations.values()]
    for options in (["--json"], []):
        ran = operate(*options, "--verbose", "--stack", NAME, "doctor", "--deep")
        assert "rak_price_read" in ran.out
        assert not any(secret in ran.out + ran.err for secret in ["rk_test_deployed", *signing])


def test_it_changes_nothing(world: Deployed, operate: Operate) -> None:
    _portal(world)
    world.stack.simulator.requests.clear()
    _lines(operate, "--deep", code=1)
    effects = {(request.method, request.status) for request in world.stack.simulator.requests}
    assert {status for method, status in effects if method != "GET"} <= {400, 404}


def test_the_template_has_what_is_looked_at() -> None:
    outputs = read_template()["Outputs"].keys()
    assert {name for name in outputs if name.endswith("DeadLetterQueueUrl")} == DEAD_LETTER_QUEUES.keys()
    assert expand().of_type("AWS::Scheduler::Schedule").keys() >= SCHEDULES.keys()
    assert "UsageMeteringQueue" in expand(MeteringWorkers="4").resources
    assert timedelta(0) < clock.HOUR
