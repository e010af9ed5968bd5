from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from billing import clock, record_active_sensors, record_readings
from billing.tables.usage import UsageRecord, make_refused_due
from operations import connection
from operations.last_runs import SERVICE
from programs.local.cloudformation import read_template
from programs.local.stack import Stack
from tests.operations.conftest import START, Operate


def _use(stack: Stack, organization_id: str, hours: int = 3) -> None:
    for hour in range(hours):
        record_readings(organization_id, 10 * (hour + 1), START + timedelta(hours=hour, minutes=-180))
        record_active_sensors(organization_id, 5, START + timedelta(hours=hour, minutes=-180))


def _refuse(organization_id: str, window_start: str, reason: str) -> None:
    UsageRecord(organization_id, window_start, temperature_readings=1, refused=reason).save()


def test_status_tells_of_nothing_when_all_is_well(stack: Stack, operate: Operate) -> None:
    ran = operate("--json", "status")
    assert ran.json == {"oldest_due_hour_end": None, "due_hours": 0, "refused_hours": {}}


def test_status_counts_what_is_due_and_refused(stack: Stack, operate: Operate) -> None:
    _use(stack, "acme")
    record_readings("globex", 1, clock.utc_now())  # its hour is still open
    _refuse("globex", "2026-11-20T08:00:00Z", "no_such_customer: gone")
    _refuse("globex", "2026-11-20T09:00:00Z", "no_customer: none")
    _refuse("initech", "2026-11-20T09:00:00Z", "no_customer: none")
    _refuse("initech", "2026-10-01T09:00:00Z", "too_old: cannot be billed any more")
    ran = operate("--json", "status")
    assert ran.json == {
        "oldest_due_hour_end": "2026-11-23T06:00:00Z",
        "due_hours": 3,
        "refused_hours": {"no_customer": 2, "no_such_customer": 1},
    }
    told = operate("status").out
    assert "2026-11-23T06:00:00Z (2 h 0 min ago)" in told
    assert "2 no_customer, 1 no_such_customer" in told


def test_due_lists_the_oldest_first(stack: Stack, operate: Operate) -> None:
    for organization_id in ("acme", "globex", "initech"):
        _use(stack, organization_id)
    ran = operate("--json", "due", "--limit", "4")
    assert [(hour["organization_id"], hour["window_start"]) for hour in ran.json["hours"]] == [
        ("acme", "2026-11-23T05:00:00Z"),
        ("globex", "2026-11-23T05:00:00Z"),
        ("initech", "2026-11-23T05:00:00Z"),
        ("acme", "2026-11-23T06:00:00Z"),
    ]
    assert "initech" in operate("due").out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["acme 01", "acme 02", "globex 02"]),
        (["--organization", "acme"], ["acme 01", "acme 02"]),
        (["--reason", "no_customer"], ["acme 02", "globex 02"]),
        (["--since", "2026-11-20T02:00:00Z"], ["acme 02", "globex 02"]),
        (["--organization", "acme", "--reason", "no_customer"], ["acme 02"]),
        (["--organization", "nobody"], []),
    ],
)
def test_requeue_refused_puts_back_what_was_asked_for(
    options: list[str], expected: list[str], stack: Stack, operate: Operate
) -> None:
    _refuse("acme", "2026-11-20T01:00:00Z", "no_such_customer: gone")
    _refuse("acme", "2026-11-20T02:00:00Z", "no_customer: none")
    _refuse("globex", "2026-11-20T02:00:00Z", "no_customer: none")
    _refuse("globex", "2026-10-01T02:00:00Z", "no_customer: older than Stripe takes")

    planned = operate("--json", "requeue-refused", *options, "--dry-run")
    assert stack.due_hours() == []
    assert [f"{hour['organization_id']} {hour['window_start'][11:13]}" for hour in planned.json["hours"]] == expected

    done = operate("--json", "requeue-refused", *options)
    assert done.json["made_due"] == len(expected)
    assert [f"{organization_id} {hour[11:13]}" for organization_id, hour in stack.due_hours()] == expected
    assert all(stack.usage(*key).refused is None for key in stack.due_hours())


def test_requeue_refused_leaves_an_hour_that_was_put_back_meanwhile(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuse("acme", "2026-11-20T01:00:00Z", "no_customer: none")
    from operations import backlog

    found = backlog.refused_of("acme", START - timedelta(days=30))
    make_refused_due(UsageRecord.get("acme", "2026-11-20T01:00:00Z"))
    assert [backlog.requeue(hour) for hour in found] == [False]


def test_refused_hours_are_billed_after_their_customer_came_and_they_were_put_back(
    stack: Stack, operate: Operate
) -> None:
    stack.subscribe("acme")
    _use(stack, "acme")
    stack.meter()
    assert operate("--json", "status").json["refused_hours"] == {"no_customer": 3}
    stack.deliver_all()
    operate("requeue-refused", "--organization", "acme")
    stack.meter()
    assert stack.differences(["acme"], START - timedelta(days=1), START) == []


def test_reconcile_finds_what_stripe_lost(stack: Stack, operate: Operate) -> None:
    customer, _ = stack.subscribe("acme")
    stack.deliver_all()
    _use(stack, "acme")
    stack.meter()
    stack.advance(hours=2)
    stack.simulator.account.meter_events.lose_hour(
        customer, "temperature_readings", int((START - timedelta(hours=2)).timestamp())
    )
    planned = operate("--json", "reconcile", "--dry-run").json
    assert (planned["hours"], planned["drift_events"], planned["made_due"]) == (3, 1, 0)
    assert stack.due_hours() == []
    done = operate("--json", "reconcile").json
    assert (done["drift_units"], done["made_due"]) == (20, 1)
    assert stack.due_hours() == [("acme", "2026-11-23T06:00:00Z")]
    stack.meter()
    assert stack.differences(["acme"], START - timedelta(days=1), START) == []
    assert "0 meter hours differ" in operate("reconcile").out


def test_reconcile_exits_with_1_when_an_organisation_could_not_be_compared(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    _use(stack, "acme")
    stack.meter()
    stack.advance(hours=2)
    stack.simulator.faults.add("http_500", "*/event_summaries")
    assert operate("reconcile").code == 1


def test_replay_works_off_what_did_not_arrive(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    arrived, *lost = stack.simulator.webhooks.take("customer.subscription.created")
    assert stack.deliver(arrived).status == 200
    assert lost == []

    planned = operate("--json", "replay-events", "--dry-run").json
    types = [event["event_type"] for event in planned["events"]]
    assert "checkout.session.completed" in types
    assert "customer.subscription.created" not in types
    assert "product.created" not in types

    done = operate("--json", "replay-events").json
    assert {event["outcome"] for event in done["events"]} <= {"processed", "already_reflected"}
    assert {event["organization_id"] for event in done["events"]} == {"acme"}
    again = operate("--json", "replay-events").json
    assert {event["outcome"] for event in again["events"]} == {"duplicate"}


def test_replay_takes_chosen_events_snapshot_or_thin(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    snapshot = stack.simulator.webhooks.take("checkout.session.completed")[0].event_id
    thin = stack.simulator.webhooks.take("v1.customer.subscription.created")[0].event_id
    done = operate("--json", "replay-events", snapshot, thin)
    assert [event["event_id"] for event in done.json["events"]] == [snapshot, thin]
    assert done.json["events"][0]["outcome"] == "processed"
    assert stack.record("acme").status == "active"
    unknown = operate("replay-events", "evt_nobody_has")
    assert (unknown.code, unknown.err.splitlines()[0].split(":")[0]) == (1, "StripeNotFoundError")


def test_replay_goes_on_behind_an_event_that_fails(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    stack.subscribe("globex")
    stack.simulator.faults.add("http_500", "/v1/subscriptions", nth=[1, 2, 3])
    ran = operate("--json", "replay-events")
    outcomes = [event["outcome"] for event in ran.json["events"]]
    assert ran.code == 1
    assert "failed" in outcomes
    assert outcomes.count("failed") < len(outcomes)
    assert operate("replay-events").code == 0


def test_usage_lists_and_draws_an_organisations_hours(stack: Stack, operate: Operate) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    _use(stack, "acme")
    stack.meter()
    record_readings("acme", 4, clock.utc_now())
    told = operate("--json", "usage", "acme", "--end", "2026-11-23T09:00:00Z").json
    assert [hour["state"] for hour in told["hours"]] == ["reported", "reported", "reported", "due"]
    assert told["totals"]["temperature_readings"] == {"formula": "sum", "counted": 64, "reported": 60}
    listed = operate("usage", "acme", "--end", "2026-11-23T09:00:00Z").out
    assert "2026-11-23T05:00:00Z" in listed
    drawn = operate("usage", "acme", "--end", "2026-11-23T09:00:00Z", "--plot").out
    assert "Temperature readings, highest 30 an hour" in drawn
    assert "█" in drawn
    assert "No usage" in operate("usage", "nobody").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["usage", "acme", "--start", "yesterday"],
        ["reconcile", "--start", "2026-01-01T00:00:00Z"],
        ["requeue-refused", "--since", "2026"],
        ["due", "--limit", "0"],
        ["nonsense"],
    ],
)
def test_a_wrong_option_is_said_and_exits_with_2(arguments: list[str], stack: Stack, operate: Operate) -> None:
    assert operate(*arguments).code == 2


def test_a_missing_key_is_one_line_and_no_trace(operate: Operate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)
    ran = operate("provision")
    assert ran.code == 1
    assert ran.err.startswith("ConfigurationError: There is no Stripe API key")
    assert "Traceback" not in ran.err


# ------------------------------------------------------------------------------------------------ a deployed stack


def _stack_outputs(names: dict[str, str]) -> dict[str, Any]:
    return {
        "Stacks": [
            {
                "StackName": "billing-prod",
                "CreationTime": START,
                "StackStatus": "UPDATE_COMPLETE",
                "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in names.items()],
            }
        ]
    }


@pytest.fixture
def deployed(operate: Operate) -> Iterator[Stubber]:
    """Stand in for AWS: CloudFormation answers with what the test says; the rest is moto's."""
    with mock_aws(config={"core": {"mock_credentials": False}}):
        cloudformation = boto3.client("cloudformation")
        with Stubber(cloudformation) as stubber:
            clients = {"cloudformation": cloudformation}
            real = connection.aws_client
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(connection, "aws_client", lambda service: clients.get(service) or real(service))
                yield stubber


def test_a_stack_is_operated_by_its_name(stack: Stack, operate: Operate, deployed: Stubber) -> None:
    outputs = {
        "SubscriptionsTableName": "SubscriptionsTable",
        "StripeEventsTableName": "StripeEventsTable",
        "UsageTableName": "UsageTable",
        "StripeSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:stripe",
        "WebhookUrl": "https://x.execute-api.eu-central-1.amazonaws.com/stripe/webhook",
    }
    deployed.add_response("describe_stacks", _stack_outputs(outputs), {"StackName": "billing-prod"})
    cloudwatch = boto3.client("cloudwatch")
    for hours_ago, name, value in ((1, "runs_succeeded", 1), (3, "runs_succeeded", 2), (2, "runs_failed", 1)):
        cloudwatch.put_metric_data(
            Namespace="SensorBilling/billing-prod",
            MetricData=[
                {
                    "MetricName": name,
                    "Value": value,
                    "Timestamp": START - timedelta(hours=hours_ago) + timedelta(minutes=5),
                    "Dimensions": [{"Name": "service", "Value": SERVICE}],
                }
            ],
        )
    _use(stack, "acme")
    ran = operate("--json", "--stack", "billing-prod", "status")
    assert ran.code == 0, ran.err
    assert ran.json["due_hours"] == 3
    assert ran.json["last_runs"] == {"succeeded": 3, "failed": 1, "last_success_hour": "2026-11-23T07:00:00Z"}


def test_a_stack_of_something_else_is_refused(operate: Operate, deployed: Stubber) -> None:
    deployed.add_response("describe_stacks", _stack_outputs({"Website": "x"}))
    ran = operate("--stack", "website", "status")
    assert (ran.code, "has no output" in ran.err) == (1, True)


def test_a_stack_that_does_not_exist_is_one_line(operate: Operate, deployed: Stubber) -> None:
    deployed.add_client_error("describe_stacks", "ValidationError", "Stack with id nobody does not exist")
    ran = operate("--stack", "nobody", "status")
    assert ran.code == 1
    assert "does not exist" in ran.err


def test_the_template_has_the_outputs_and_the_service_that_are_read_here() -> None:
    template = read_template()
    assert {*connection.OUTPUTS, connection.WEBHOOK_URL} <= template["Outputs"].keys()
    variables = template["Resources"]["UsageMeteringFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == SERVICE
