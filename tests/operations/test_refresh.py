from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from billing.tables.customers import CustomerRecord
from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord
from programs.local import tables
from programs.local.stack import Stack
from tests.operations.conftest import Operate, save_refused

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


@pytest.fixture
def known(stack: Stack) -> dict[str, str]:
    """Subscribe three organisations, one of them twice; return what each followed."""
    _, first = stack.subscribe("acme")
    stack.deliver_all()
    stack.simulator.account.subscriptions.cancel(first)
    stack.advance(minutes=5)
    for organization_id in ("acme", "globex", "initech"):
        stack.subscribe(organization_id)
    stack.deliver_all()
    stack.advance(minutes=5)
    return followed()


def followed() -> dict[str, str]:
    return {record.organization_id: record.stripe_subscription_id for record in SubscriptionRecord.scan()}


def outcomes(operate: Operate, *arguments: str) -> dict[str, str]:
    rows = operate("--json", "refresh", *arguments).json["organizations"]
    return {row["organization_id"]: row["outcome"] for row in rows}


def test_records_that_were_lost_are_fetched_again(stack: Stack, operate: Operate, known: dict[str, str]) -> None:
    SubscriptionRecord("acme").delete()
    SubscriptionRecord("globex").delete()

    assert outcomes(operate, "acme") == {"acme": "changed"}
    assert outcomes(operate, "--all") == {"acme": "unchanged", "globex": "changed", "initech": "unchanged"}

    assert followed() == known
    assert {record.rearm_from for record in SubscriptionRecord.scan()} == {None}


def test_everything_is_found_in_stripes_metadata_when_all_tables_are_lost(
    stack: Stack, operate: Operate, known: dict[str, str], dynamodb: DynamoDBClient
) -> None:
    tables.empty_tables(dynamodb)

    assert set(outcomes(operate, "--all").values()) == {"changed"}

    assert followed() == known
    owners = {record.stripe_customer_id: record.organization_id for record in CustomerRecord.scan()}
    assert len(owners) == 4, "acme's former customer too"


def test_a_record_that_is_older_than_stripe_is_brought_up_to_date(
    stack: Stack, operate: Operate, known: dict[str, str]
) -> None:
    stack.simulator.account.subscriptions.set_status(known["globex"], "past_due", emit=False)

    assert outcomes(operate, "--all")["globex"] == "changed"
    assert stack.record("globex").status == "past_due"


def test_hours_that_were_refused_for_want_of_the_record_become_due(
    stack: Stack, operate: Operate, known: dict[str, str]
) -> None:
    SubscriptionRecord("globex").delete()
    save_refused("globex", "2026-11-23T08:00:00Z", "no_customer: none")

    operate("refresh", "globex")

    assert UsageRecord.get("globex", "2026-11-23T08:00:00Z").due_at is not None


def test_a_dry_run_asks_and_changes_nothing(stack: Stack, operate: Operate, known: dict[str, str]) -> None:
    SubscriptionRecord("globex").delete()

    assert outcomes(operate, "--all", "--dry-run") == dict.fromkeys(known)
    assert "globex" not in followed()
    assert "would be fetched" in operate("refresh", "globex", "--dry-run").out


def test_one_that_fails_does_not_stop_the_others(stack: Stack, operate: Operate, known: dict[str, str]) -> None:
    stack.simulator.faults.add("http_500", "/v1/subscriptions", nth=[1, 2, 3])

    ran = operate("--json", "refresh", "acme", "globex")

    assert ran.code == 1
    assert [row["outcome"] for row in ran.json["organizations"]] == ["failed", "unchanged"]


def test_an_organisation_without_a_subscription_is_told(stack: Stack, operate: Operate) -> None:
    assert outcomes(operate, "nobody") == {"nobody": "not_subscribed"}


@pytest.mark.parametrize("arguments", [[], ["acme", "--all"]])
def test_it_wants_organisations_or_all(operate: Operate, stack: Stack, arguments: list[str]) -> None:
    assert operate("refresh", *arguments).code == 2
