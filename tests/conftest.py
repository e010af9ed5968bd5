"""Fixtures of all tests. None reaches the internet, AWS or, unless asked with `--stripe-sandbox`, Stripe."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from programs.local import dynamodb_local, tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack
    from stripe_simulator import Simulator

RUN_FOLDER_VARIABLE = "SENSOR_BILLING_TEST_RUN_FOLDER"
NO_DYNAMODB_LOCAL = "DynamoDB Local cannot be had"
# What a test reaches over a socket; the others may open none.
SERVERS = frozenset({"dynamodb_endpoint", "_simulator_of_the_process"})
WEBHOOK_SECRET = "whsec_tests"

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
    config.stash[_SANDBOX_KEY] = os.environ.get("STRIPE_SECRET_KEY", "")
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
        os.environ[RUN_FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="sensor-billing-tests-")


_SANDBOX_KEY = pytest.StashKey[str]()


def pytest_unconfigure(config: pytest.Config) -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    folder = Path(os.environ[RUN_FOLDER_VARIABLE])
    server = _read_server(folder)
    if isinstance(server, dynamodb_local.DynamoDBLocal):
        dynamodb_local.stop(server)
    shutil.rmtree(folder, ignore_errors=True)


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


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Forget what the code keeps for the life of a process, as a new Lambda environment would."""
    _forget_cached()
    yield
    _forget_cached()


def _forget_cached() -> None:
    for name, module in list(sys.modules.items()):
        if name == "billing" or name.startswith("billing."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
    parameters = sys.modules.get("aws_lambda_powertools.utilities.parameters")
    if parameters is not None:
        parameters.clear_caches()


@pytest.fixture(scope="session")
def dynamodb_endpoint() -> str:
    """Return the endpoint of the run's one DynamoDB Local, started by the first test that needs it."""
    folder = Path(os.environ[RUN_FOLDER_VARIABLE])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = _read_server(folder)
        if server is None:
            try:
                # Not stopped with this worker: others may still use it. `pytest_unconfigure` does.
                server = dynamodb_local.start(stop_at_exit=False)
            except dynamodb_local.DynamoDBLocalUnavailableError as error:
                server = str(error)
            _write_server(folder, server)
    if isinstance(server, str):
        message = f"{NO_DYNAMODB_LOCAL}: {server}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    tables.create_tables(tables.client_for(server.endpoint))
    return server.endpoint


def _read_server(folder: Path) -> dynamodb_local.DynamoDBLocal | str | None:
    try:
        answer = json.loads((folder / "dynamodb.json").read_text())
    except FileNotFoundError:
        return None
    if "unavailable" in answer:
        return str(answer["unavailable"])
    return dynamodb_local.DynamoDBLocal(**answer)


def _write_server(folder: Path, server: dynamodb_local.DynamoDBLocal | str) -> None:
    if isinstance(server, str):
        answer: dict[str, str | int | None] = {"unavailable": server}
    else:
        answer = {"endpoint": server.endpoint, "process_id": server.process_id}
    (folder / "dynamodb.json").write_text(json.dumps(answer))


@pytest.fixture(scope="session")
def _dynamodb_client(dynamodb_endpoint: str) -> DynamoDBClient:
    return tables.client_for(dynamodb_endpoint)


@pytest.fixture
def dynamodb(
    dynamodb_endpoint: str, _dynamodb_client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> DynamoDBClient:
    """Give the test DynamoDB Local with empty tables, and point the code at it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_endpoint)
    tables.empty_tables(_dynamodb_client)
    return _dynamodb_client


@pytest.fixture(scope="session")
def _simulator_of_the_process() -> Iterator[Simulator]:
    from stripe_simulator import running_simulator

    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(_simulator_of_the_process: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """Give the test a Stripe simulator as new, and point the code at it."""
    _simulator_of_the_process.reset()
    monkeypatch.setenv("STRIPE_API_BASE", _simulator_of_the_process.base_url)
    monkeypatch.setenv("STRIPE_METER_EVENTS_BASE", _simulator_of_the_process.base_url)
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_simulator")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS", WEBHOOK_SECRET)
    return _simulator_of_the_process


@pytest.fixture
def stack(dynamodb: DynamoDBClient, dynamodb_endpoint: str, simulator: Simulator) -> Iterator[Stack]:
    """Give the test the whole stack, with empty tables, at five past eight of a Monday."""
    from programs.local.stack import running_stack

    with running_stack(simulator, dynamodb_endpoint, start=datetime(2026, 11, 23, 8, 5, tzinfo=UTC)) as running:
        yield running


@pytest.fixture(scope="session")
def stripe_sandbox_key(request: pytest.FixtureRequest) -> str | None:
    """Return the test key of a real Stripe sandbox, where the run was asked to; refuse live keys."""
    if not request.config.getoption("--stripe-sandbox"):
        return None
    key = request.config.stash[_SANDBOX_KEY]
    if not key.startswith(("sk_test_", "rk_test_")):
        pytest.exit("STRIPE_SECRET_KEY is no test key (sk_test_… or rk_test_…): nothing was sent", returncode=2)
    return key
