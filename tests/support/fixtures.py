"""Fixtures that several folders of tests need, beyond tests/ too: a conftest takes them by `pytest_plugins`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from programs.local import dynamodb_local, tables
from tests.support import dynamodb_server
from tests.support.caches import forget_cached
from tests.support.run import NO_DYNAMODB_LOCAL, SANDBOX_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from programs.local.stack import Stack
    from stripe_simulator import Simulator

WEBHOOK_SECRET = "whsec_tests"


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Forget what the code keeps for the life of a process, as a new Lambda environment would."""
    _forget_cached()
    yield
    _forget_cached()


def _forget_cached() -> None:
    forget_cached("billing")
    parameters = sys.modules.get("aws_lambda_powertools.utilities.parameters")
    if parameters is not None:
        parameters.clear_caches()


@pytest.fixture(scope="session")
def dynamodb_endpoint() -> str:
    """Return the endpoint of the run's one DynamoDB Local, started by the first test that needs it."""
    try:
        server = dynamodb_server.start_once()
    except dynamodb_local.DynamoDBLocalUnavailableError as error:
        message = f"{NO_DYNAMODB_LOCAL}: {error}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    tables.create_tables(tables.client_for(server.endpoint))
    return server.endpoint


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
def simulator(_simulator_of_the_process: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Give the test a Stripe simulator as new, and point the code at it.

    Everything that it takes and sends must have the shapes of Stripe's API.
    """
    from tests.support.stripe_shapes import ShapeObserver

    _simulator_of_the_process.reset()
    monkeypatch.setenv("STRIPE_API_BASE", _simulator_of_the_process.base_url)
    monkeypatch.setenv("STRIPE_METER_EVENTS_BASE", _simulator_of_the_process.base_url)
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_simulator")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS", WEBHOOK_SECRET)
    shapes = ShapeObserver()
    _simulator_of_the_process.account.observers = [shapes]
    yield _simulator_of_the_process
    if shapes.problems:
        pytest.fail("Not as Stripe's API has it:\n" + "\n".join(shapes.problems), pytrace=False)


@pytest.fixture
def stack(
    dynamodb: DynamoDBClient, dynamodb_endpoint: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    """Give the test the whole stack, with empty tables, at five past eight of a Monday."""
    from billing import telemetry
    from programs.local.stack import running_stack
    from tests.support.tokens import forget_tokens_as_dynamodb_does

    # What a test before this one has counted without a function that writes it.
    telemetry._metrics.clear_metrics()
    forget_tokens_as_dynamodb_does(monkeypatch)
    with running_stack(simulator, dynamodb_endpoint, start=datetime(2026, 11, 23, 8, 5, tzinfo=UTC)) as running:
        yield running


@pytest.fixture(scope="session")
def stripe_sandbox_key(request: pytest.FixtureRequest) -> str | None:
    """Return the test key of a real Stripe sandbox, where the run was asked to; refuse live keys."""
    if not request.config.getoption("--stripe-sandbox"):
        return None
    key = request.config.stash[SANDBOX_KEY]
    if not key.startswith(("sk_test_", "rk_test_")):
        pytest.exit("STRIPE_SECRET_KEY is no test key (sk_test_… or rk_test_…): nothing was sent", returncode=2)
    return key
