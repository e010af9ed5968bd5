from __future__ import annotations

from typing import Any

import pytest

from billing.tables.usage import UsageRecord
from programs.local.http_api import HttpApi, with_claims
from programs.local.stack import Stack

OPERATIONS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "usage", None),
    ("GET", "subscription", None),
    ("POST", "portal-sessions", {"return_url": "https://app.example.com/"}),
    (
        "POST",
        "checkout-sessions",
        {
            "price_ids": ["price_x"],
            "success_url": "https://app.example.com/",
            "cancel_url": "https://app.example.com/",
        },
    ),
]


@pytest.fixture
def by_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ORGANIZATION_CLAIM", "custom:organization")


# Credentials do not stand in for a token.
OTHERS: list[dict[str, Any]] = [
    with_claims(**{"custom:organization": "globex"}),
    with_claims(**{"custom:organization": "Acme"}),
    with_claims(**{"custom:organization": "acme,globex"}),
    with_claims(**{"custom:organization": ""}),
    with_claims(sub="acme"),
    {},
    {"iam": {"userArn": "arn:aws:iam::123456789012:role/product"}},
]


@pytest.mark.usefixtures("by_token")
@pytest.mark.parametrize(("method", "operation", "body"), OPERATIONS)
def test_a_token_never_reaches_another_organisation(
    method: str, operation: str, body: dict[str, Any] | None, stack: Stack, api: HttpApi
) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    UsageRecord("acme", "2026-11-23T07:00:00Z", temperature_readings=4711).save()
    asked = stack.simulator.requests.total
    for authorizer in OTHERS:
        answer = api.call(method, f"/organizations/acme/{operation}", body, authorizer=authorizer)
        assert answer.status == 403, authorizer
        assert answer.body == {
            "title": "Not this caller's organisation",
            "status": 403,
            "detail": "The caller may not act for this organisation",
        }
    assert stack.simulator.requests.total == asked


@pytest.mark.usefixtures("by_token")
def test_a_token_reaches_its_own_organisation(stack: Stack, api: HttpApi) -> None:
    UsageRecord("acme", "2026-11-23T07:00:00Z", temperature_readings=4711).save()
    mine = with_claims(**{"custom:organization": "acme"})
    answer = api.call("GET", "/organizations/acme/usage", authorizer=mine)
    assert answer.status == 200
    assert answer.body["totals"]["temperature_readings"]["counted"] == 4711


def test_aws_credentials_reach_every_organisation(stack: Stack, api: HttpApi) -> None:
    for organization_id in ("acme", "globex"):
        answer = api.call("GET", f"/organizations/{organization_id}/usage")
        assert (answer.status, answer.body["organization_id"]) == (200, organization_id)


@pytest.mark.parametrize(("method", "operation", "body"), OPERATIONS)
def test_a_route_that_was_left_open_answers_nobody(
    method: str, operation: str, body: dict[str, Any] | None, stack: Stack, api: HttpApi
) -> None:
    assert api.call(method, f"/organizations/acme/{operation}", body, authorizer={}).status == 403


def test_sam_local_which_signs_nothing_is_answered(stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    assert api.call("GET", "/organizations/acme/usage", authorizer={}).status == 200


def test_one_organisations_usage_holds_no_hour_of_another(stack: Stack, api: HttpApi) -> None:
    UsageRecord("acme", "2026-11-23T07:00:00Z", temperature_readings=1).save()
    UsageRecord("acme2", "2026-11-23T07:00:00Z", temperature_readings=2).save()
    answer = api.call("GET", "/organizations/acme/usage")
    assert [hour["counted"] for hour in answer.body["hours"]] == [{"temperature_readings": 1}]
