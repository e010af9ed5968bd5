"""Rules about who imports what, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
GATEWAY = REPOSITORY / "layers/billing/billing/stripe_gateway"
PRODUCT = [
    path
    for folder in ("layers/billing/billing", "functions", "operations")
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
]


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_only_the_gateway_imports_stripe() -> None:
    importing = {path for path in PRODUCT if "stripe" in {name.partition(".")[0] for name in imported_modules(path)}}

    assert {path.name for path in importing} == {"calls.py", "signatures.py"}
    assert {path.parent for path in importing} == {GATEWAY}


def test_only_the_gateway_reaches_the_sdks_client() -> None:
    reaching = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in PRODUCT
        if path.parent != GATEWAY
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("once", "read", "pages", "_client")
        if isinstance(node.value, ast.Name | ast.Attribute) and "gateway" in ast.unparse(node.value)
    ]

    assert reaching == []


@pytest.mark.parametrize("module", ["billing.stripe_gateway", "billing.stripe_gateway.objects"])
def test_stripes_objects_are_read_without_the_sdk(module: str) -> None:
    command = f"import sys, {module}; sys.exit('stripe' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


@pytest.mark.parametrize("module", ["billing.webhooks.decision", "billing.metering.plan"])
def test_what_decides_imports_values_only(module: str) -> None:
    does_io = {"stripe", "pynamodb", "botocore", "boto3", "aws_lambda_powertools", "http"}
    command = f"import sys, {module}; sys.exit(bool(sys.modules.keys() & {does_io}))"

    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
