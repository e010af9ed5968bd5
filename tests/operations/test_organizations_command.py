from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from billing.tables.subscriptions import SubscriptionRecord
from billing.tables.usage import UsageRecord
from operations import organizations
from programs.local.stack import Stack
from tests.operations.conftest import START, Operate, record_usage, save_refused


def test_organisations_are_listed_with_what_waits_for_each(stack: Stack, operate: Operate) -> None:
    for organization_id in ("acme", "globex"):
        stack.subscribe(organization_id, at=START - timedelta(hours=3))
    stack.deliver_all()
    record_usage("acme")
    stack.meter()
    record_usage("acme", hours=2)
    save_refused("acme", "2026-11-20T01:00:00Z", "no_such_customer: gone")
    save_refused("acme", "2026-09-20T01:00:00Z", "too_old: gone")

    rows = {row["organization_id"]: row for row in operate("--json", "organizations").json["organizations"]}

    assert rows["acme"] == {
        "organization_id": "acme",
        "status": "active",
        "price_ids": rows["acme"]["price_ids"],
        "last_hour": "2026-11-23T07:00:00Z",
        "due_hours": 2,
        "refused_hours": 1,
    }
    assert sorted(rows["acme"]["price_ids"]) == sorted(stack.prices.values())
    assert (rows["globex"]["last_hour"], rows["globex"]["due_hours"]) == (None, 0)
    (line,) = (line.split() for line in operate("organizations").out.splitlines() if line.startswith("acme"))
    assert line == ["acme", "active", "2026-11-23T07:00:00Z", "2", "1", ",".join(rows["acme"]["price_ids"])]


def test_no_more_than_a_page_is_in_memory(stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organizations, "PAGE", 2)
    for number in range(5):
        SubscriptionRecord(f"org-{number}", status="active").save()
    read: list[str] = []
    look_at = organizations._overview

    def noted(record: SubscriptionRecord, since: datetime) -> organizations.Overview:
        read.append(record.organization_id)
        return look_at(record, since)

    monkeypatch.setattr(organizations, "_overview", noted)

    pages = organizations.overviews(START)

    assert (len(next(pages)), len(read)) == (2, 2)
    assert sum(map(len, pages)) == 3
    assert len(operate("--json", "organizations").json["organizations"]) == 5


def test_a_list_that_ends_early_is_json_and_says_so(
    stack: Stack, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organizations, "PAGE", 1)
    for number in range(2):
        SubscriptionRecord(f"org-{number}", status="active").save()
    asked: list[str] = []

    def query(organization_id: str, *args: Any, **options: Any) -> list[UsageRecord]:
        asked.append(organization_id)
        if len(asked) > 1:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Query")
        return []

    monkeypatch.setattr(UsageRecord, "query", query)

    ran = operate("--json", "organizations")

    assert ran.code == 1
    assert len(ran.json["organizations"]) == 1
    assert ran.json["error"]["type"] == "ClientError"


@pytest.mark.parametrize("arguments", [["--json"], []])
def test_no_organisation_is_an_empty_list(stack: Stack, operate: Operate, arguments: list[str]) -> None:
    ran = operate(*arguments, "organizations")
    assert ran.code == 0
    assert (ran.json == {"organizations": []}) if arguments else ("No organisation has a record." in ran.out)
