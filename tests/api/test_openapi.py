from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from operations.openapi import document
from programs.local.cloudformation import read_template
from programs.local.http_api import HttpApi

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def _no_server_error(ctx: object, response: schemathesis.Response, case: object) -> bool | None:
    assert response.status_code < 500, response.content
    return None


CHECKS: list[CheckFunction] = [
    _no_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
schema = schemathesis.openapi.from_dict(document())


def test_the_document_is_current() -> None:
    assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == document(), "run: make openapi"


def test_the_template_routes_what_the_document_promises() -> None:
    events = read_template()["Resources"]["BillingApiFunction"]["Properties"]["Events"].values()
    routed = {(event["Properties"]["Method"], event["Properties"]["Path"]) for event in events}
    promised = {(method.upper(), path) for path, operations in document()["paths"].items() for method in operations}
    assert routed == promised


@pytest.mark.usefixtures("stack")
@schema.parametrize()
@hypothesis.settings(
    suppress_health_check=list(hypothesis.HealthCheck), derandomize=True, deadline=None, max_examples=60
)
def test_every_request_gets_a_promised_response(case: schemathesis.Case[Any]) -> None:
    case.operation.app = HttpApi()
    case.call_and_validate(checks=CHECKS)
