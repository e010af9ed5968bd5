"""The account that is asked, and the table of what it answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from billing.stripe_gateway.calls import StripeGateway
from billing.stripe_secrets import SecretsReader, StripeSecrets
from programs.assumptions.questions import table
from programs.assumptions.sandbox import Sandbox
from stripe_simulator import Simulator

pytest_plugins = ["tests.support.run", "tests.support.fixtures"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = (*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", []))
    findings = [found for report in reports for name, found in report.user_properties if name == "finding"]
    if findings:
        terminalreporter.section("what Stripe answered")
        terminalreporter.write(table(findings))


def _fixed(api_key: str) -> SecretsReader:
    return SecretsReader(lambda: StripeSecrets(api_key, ()))


@pytest.fixture
def sandbox(stripe_sandbox_key: str | None, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Give the test the real sandbox where the run was asked to use it, else the simulator."""
    if stripe_sandbox_key is not None:
        account = Sandbox(StripeGateway(_fixed(stripe_sandbox_key)), is_real=True)
    else:
        simulator: Simulator = request.getfixturevalue("simulator")
        account = Sandbox(
            StripeGateway(_fixed("sk_test_assumed"), simulator.base_url, simulator.base_url), is_real=False
        )
    try:
        yield account
    finally:
        account.tidy_up()
