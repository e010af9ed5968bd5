"""What holds for a whole run of pytest: its option, its environment, the marks of its tests, and its summary."""

from __future__ import annotations

import os

import hypothesis
import pytest

from tests.support import dynamodb_server

NO_DYNAMODB_LOCAL = "DynamoDB Local cannot be had"
# What a test reaches over a socket; the others may open none.
SERVERS = frozenset({"dynamodb_endpoint", "_simulator_of_the_process", "sandbox"})
# The developer's STRIPE_SECRET_KEY, taken out of the environment.
SANDBOX_KEY = pytest.StashKey[str]()

hypothesis.settings.register_profile("quick", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.register_profile("deep", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stripe-sandbox",
        action="store_true",
        help="run programs/assumptions against the Stripe sandbox whose test key STRIPE_SECRET_KEY is",
    )


def pytest_configure(config: pytest.Config) -> None:
    # What the developer's shell knows of AWS and Stripe must not reach a test.
    config.stash[SANDBOX_KEY] = os.environ.get("STRIPE_SECRET_KEY", "")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    for name in list(os.environ):
        if name.startswith(("AWS_", "STRIPE_", "POWERTOOLS_")):
            if name == "STRIPE_SECRET_KEY" and config.getoption("--stripe-sandbox") and not worker:
                continue  # the workers inherit it
            del os.environ[name]
    os.environ.update(
        # Each access key has its own tables in DynamoDB Local: that is how the workers share one server.
        AWS_ACCESS_KEY_ID=f"test{worker}",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="eu-central-1",
        AWS_REGION="eu-central-1",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )
    if not worker:
        dynamodb_server.open_folder()


def pytest_unconfigure() -> None:
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        dynamodb_server.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "dynamodb_endpoint" in fixtures:
            item.add_marker(pytest.mark.dynamodb_local)
        if fixtures.isdisjoint(SERVERS) and item.get_closest_marker("sam_local") is None:
            item.add_marker(pytest.mark.disable_socket)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    explorations = [
        text
        for report in (*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", []))
        for name, text in report.user_properties
        if name == "exploration"
    ]
    if explorations:
        terminalreporter.section("explorations")
        for text in explorations:
            terminalreporter.line(text)
    skipped = [
        report.nodeid
        for report in terminalreporter.stats.get("skipped", [])
        if NO_DYNAMODB_LOCAL in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section(f"{NO_DYNAMODB_LOCAL}: {len(skipped)} tests were skipped", yellow=True)
        for nodeid in skipped:
            terminalreporter.line(nodeid)
