"""Who imports and reaches what, where the contracts in pyproject.toml (`lint-imports`) cannot say it."""

from __future__ import annotations

import ast

import pytest

from tests.structure.sources import files, imported_modules, name_of, nodes
from tests.support.imports import modules_after

GATEWAY = "layers/billing/billing/stripe_gateway/"
PRODUCT = [
    path for path in files("layers", "functions", "operations", ending=".py") if not name_of(path).startswith(GATEWAY)
]


def test_only_the_gateway_reaches_the_sdks_client() -> None:
    reaching = [
        f"{name_of(path)}:{node.lineno}"
        for path in PRODUCT
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in ("once", "read", "pages", "_client")
        if isinstance(node.value, ast.Name | ast.Attribute) and "gateway" in ast.unparse(node.value)
    ]

    assert reaching == []


def test_no_test_file_imports_another() -> None:
    importing = [
        f"{name_of(path)} imports {module}"
        for path in files("tests", "programs", ending=".py")
        for module in imported_modules(path)
        if module.startswith(("tests.", "programs.")) and ".test_" in module
    ]

    assert importing == []


@pytest.mark.parametrize("module", ["billing.stripe_gateway", "billing.stripe_gateway.objects"])
def test_stripes_objects_are_read_without_the_sdk(module: str) -> None:
    assert not modules_after(f"import {module}") & {"stripe"}


@pytest.mark.parametrize(
    "module",
    [
        "billing.access.rule",
        "billing.billing_events.changes",
        "billing.metering.hour",
        "billing.metering.plan",
        "billing.webhooks.decision",
    ],
)
def test_what_decides_imports_values_only(module: str) -> None:
    does_io = {"stripe", "pynamodb", "botocore", "boto3", "aws_lambda_powertools", "http"}

    assert not modules_after(f"import {module}") & does_io
