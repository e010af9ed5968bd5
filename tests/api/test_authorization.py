from __future__ import annotations

from typing import Any

import pytest

from billing.tables.usage import UsageRecord
from programs.local.http_api import HttpApi, with_claims
from programs.local.stack import Stack

OPERATIONS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "usage", None),
    ("GET", "subscription", None),
    ("GET", "invoices", None),
    ("GET", "invoices/in_1", None),
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
def token_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_ORGANIZATION_CLAIM", "custom:organization")


# Credentials do not stand in for a token.
NOT_ACMES: list[dict[str, Any]] = [
    with_claims(**{"custom:organization": "globex"}),
    with_claims(**{"custom:organization": "Acme"}),
    with_claims(**{"custom:organization": "acme,globex"}),
    with_claims(**{"custom:organization": ""}),
    with_claims(sub="acme"),
    {},
    {"iam": {"userArn": "arn:aws:iam::123456789012:role/product"}},
]


@pytest.mark.usefixtures("token_claim")
@pytest.mark.parametrize(("method", "operation", "body"), OPERATIONS)
def test_a_token_never_reaches_another_organisation(
    method: str, operation: str, body: dict[str, Any] | None, stack: Stack, api: HttpApi
) -> None:
    stack.subscribe("acme")
    stack.deliver_all()
    UsageRecord("acme", "2026-11-23T07:00:00Z", temperature_readings=4711).save()
    requests_before = stack.simulator.requests.total
    for authorizer in NOT_ACMES:
        response = api.call(method, f"/organizations/acme/{operation}", body, authorizer=authorizer)
        assert response.status == 403, authorizer
        request_id = response.body.pop("request_id")
        assert request_id.startswith("local-")
        assert response.body == {
            "title": "Not this caller's organisation",
            "status": 403,
            "detail": "The caller may not act for this organisation",
        }
    assert stack.simulator.requests.total == requests_before


@pytest.mark.usefixtures("token_claim")
def test_a_token_reaches_its_own_organisation(stack: Stack, api: HttpApi) -> None:
    UsageRecord("acme", "2026-11-23T07:00:00Z", temperature_readings=4711).save()
    own_token = with_claims(**{"custom:organization": "acme"})
    response = api.call("GET", "/organizations/acme/usage", authorizer=own_token)
    assert response.status == 200
    assert response.body["totals"]["temperature_readings"]["counted"] == 4711


def test_aws_credentials_reach_every_organisation(stack: Stack, api: HttpApi) -> None:
    for organization_id in ("acme", "globex"):
        response = api.call("GET", f"/organizations/{organization_id}/usage")
        assert (response.status, response.body["organization_id"]) == (200, organization_id)


@pytest.mark.parametrize(("method", "operation", "body"), OPERATIONS)
def test_a_route_serves_nobody_when_it_was_left_open(
    method: str, operation: str, body: dict[str, Any] | None, stack: Stack, api: HttpApi
) -> None:
    assert api.call(method, f"/organizations/acme/{operation}", body, authorizer={}).status == 403


@pytest.mark.usefixtures("token_claim")
@pytest.mark.parametrize(
    ("method", "operation", "body", "query"),
    [
        ("GET", "usage", None, {"limit": "0"}),
        ("GET", "usage", None, {"start": "yesterday"}),
        ("POST", "portal-sessions", {"return_url": 1}, {}),
        ("POST", "checkout-sessions", {}, {}),
    ],
)
def test_what_is_wrong_with_a_request_is_told_to_its_own_organisation_alone(
    method: str, operation: str, body: dict[str, Any] | None, query: dict[str, str], stack: Stack, api: HttpApi
) -> None:
    path, own_token = f"/organizations/acme/{operation}", with_claims(**{"custom:organization": "acme"})

    for authorizer in NOT_ACMES:
        assert api.call(method, path, body, query=query, authorizer=authorizer).status == 403
    assert api.call(method, path, body, query=query, authorizer=own_token).status == 422


def test_sam_local_is_served_though_it_signs_nothing(
    stack: Stack, api: HttpApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SAM_LOCAL", "true")
    assert api.call("GET", "/organizations/acme/usage", authorizer={}).status == 200


def test_one_organisations_usage_holds_no_hour_of_another(stack: Stack, api: HttpApi) -> None:
    UsageRecord("acme", "2026-11-23T07:00:00Z", temperature_readings=1).save()
    UsageRecord("acme2", "2026-11-23T07:00:00Z", temperature_readings=2).save()
    response = api.call("GET", "/organizations/acme/usage")
    assert [hour["counted"] for hour in response.body["hours"]] == [{"temperature_readings": 1}]
