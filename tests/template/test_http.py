"""House rules for the HttpApi: its routes are the code's, throttled, logged, and only Stripe's webhook is open."""

from __future__ import annotations

import json
import re
from typing import Any

from billing.api.routes import app
from programs.local.cloudformation import read_template
from tests.template.expanded import expand, referred

WEBHOOK = ("post", "/stripe/webhook")


def _operations(**parameters: str) -> dict[tuple[str, str], dict[str, Any]]:
    paths = expand(**parameters).properties("HttpApi")["Body"]["paths"]
    return {(method, path): item for path, methods in paths.items() for method, item in methods.items()}


def _routes_of_the_code() -> set[tuple[str, str]]:
    routes = [*app._static_routes, *app._dynamic_routes]
    return {(str(route.method).lower(), route.openapi_path) for route in routes}


def test_the_routes_are_the_webhook_and_those_of_the_billing_api() -> None:
    assert set(_operations()) == {WEBHOOK} | _routes_of_the_code()


def test_every_route_has_payload_format_2_and_its_function() -> None:
    for route, operation in _operations().items():
        integration = operation["x-amazon-apigateway-integration"]
        function = "StripeWebhookFunction" if route == WEBHOOK else "BillingApiFunction"
        assert integration["payloadFormatVersion"] == "2.0"
        assert f"${{{function}.Arn}}" in integration["uri"]["Fn::Sub"]


def test_the_billing_api_asks_for_aws_credentials_unless_a_token_issuer_is_given() -> None:
    for route, operation in _operations().items():
        assert operation.get("security") == (None if route == WEBHOOK else [{"AWS_IAM": []}])
    schemes = expand().properties("HttpApi")["Body"]["components"]["securitySchemes"]
    assert schemes["AWS_IAM"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert set(schemes) == {"AWS_IAM"}


def test_the_billing_api_asks_for_the_issuer_s_tokens_where_one_is_given() -> None:
    parameters = {"JwtIssuer": "https://login.example.com", "JwtAudience": "billing"}
    for route, operation in _operations(**parameters).items():
        assert operation.get("security") == (None if route == WEBHOOK else [{"token": []}])
    body = expand(**parameters).properties("HttpApi")["Body"]
    authorizer = body["components"]["securitySchemes"]["token"]["x-amazon-apigateway-authorizer"]
    assert authorizer["jwtConfiguration"] == {"issuer": "https://login.example.com", "audience": ["billing"]}


def test_a_token_s_organisation_is_looked_at_exactly_where_tokens_are_asked_for() -> None:
    signed = expand().environment("BillingApiFunction")
    tokens = expand(JwtIssuer="https://login.example.com", JwtAudience="billing").environment("BillingApiFunction")

    assert signed["JWT_ORGANIZATION_CLAIM"] == ""
    assert tokens["JWT_ORGANIZATION_CLAIM"] == "organization_id"


def test_routes_are_throttled_by_the_parameters() -> None:
    stage = expand(WebhookRateLimit="7", WebhookBurstLimit="8", ApiRateLimit="5", ApiBurstLimit="6").properties(
        "HttpApiApiGatewayDefaultStage"
    )
    webhook = stage["RouteSettings"]["POST /stripe/webhook"]
    others = stage["DefaultRouteSettings"]

    assert (webhook["ThrottlingRateLimit"], webhook["ThrottlingBurstLimit"]) == ("7", "8")
    assert (others["ThrottlingRateLimit"], others["ThrottlingBurstLimit"]) == ("5", "6")
    # The latency and 5xx alarms look at one route.
    assert webhook["DetailedMetricsEnabled"] is True


def test_access_logs_hold_no_header_query_or_body() -> None:
    settings = expand().properties("HttpApiApiGatewayDefaultStage")["AccessLogSettings"]
    entry = json.loads(settings["Format"])

    assert referred(settings["DestinationArn"]) == "HttpApiLogGroup"
    assert "messageString" not in settings["Format"], "its value has quotes of its own, or is a bare dash"
    for value in entry.values():
        assert not re.search(r"header|querystring|body|authorizer\.claims|path$", value), value


def test_a_warning_of_the_api_s_import_fails_the_deployment() -> None:
    assert expand().properties("HttpApi")["FailOnWarnings"] is True


def test_an_issuer_without_an_audience_is_refused_before_anything_is_made() -> None:
    rule = read_template()["Rules"]["TokensHaveAnAudience"]

    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]}]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtAudience"}, ""]}]}
