"""The built functions in the Lambda image, as `sam local` runs them, against the servers of `make local`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from billing import clock
from programs.local import tables
from programs.local.lambda_image import IMAGE
from programs.local.servers import (
    EVENTS,
    ORGANIZATION,
    READINGS,
    ROOT,
    SENSORS,
    LocalServers,
    event_body,
    running_servers,
    secret_of,
)
from programs.local.usage_message import usage_message
from programs.local.webhook_event import http_event
from stripe_simulator import sign

pytestmark = pytest.mark.sam_local

SAM = str(Path(sys.executable).with_name("sam"))
BUILT_TEMPLATE = ROOT / ".aws-sam" / "build" / "template.yaml"
GATEWAY_START_SECONDS = 120
GATEWAY_STOP_SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def _docker_and_build() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True).returncode != 0:
        pytest.skip("there is no Docker here: the functions were not run in the Lambda image")
    assert BUILT_TEMPLATE.is_file(), "run `make build` first"


@pytest.fixture(scope="module")
def servers() -> Iterator[LocalServers]:
    with running_servers() as running:
        yield running


@dataclass(frozen=True)
class Sam:
    """Run `sam local` with the options that reach the servers."""

    options: list[str]

    def invoke(self, function: str, event: Path | dict[str, Any]) -> Any:
        """Invoke a function once in a container of its own; return what it answers."""
        text = json.dumps(event) if isinstance(event, dict) else event.read_text(encoding="utf-8")
        ran = subprocess.run(
            [SAM, "local", "invoke", function, "--event", "-", *self.options],
            input=text,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=180,
        )
        assert ran.returncode == 0, ran.stderr
        responses = [line for line in ran.stdout.splitlines() if line.startswith(("{", "["))]
        assert responses, ran.stderr
        response = json.loads(responses[-1])
        assert not (isinstance(response, dict) and "errorMessage" in response), response
        return response


@pytest.fixture(scope="module")
def sam(servers: LocalServers, tmp_path_factory: pytest.TempPathFactory) -> Sam:
    environment = tmp_path_factory.mktemp("sam") / "env.json"
    environment.write_text(json.dumps(servers.environment()), encoding="utf-8")
    options = ["--env-vars", str(environment), "--add-host", "host.docker.internal:host-gateway"]
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True).returncode == 0:
        options.append("--skip-pull-image")
    return Sam(options)


@pytest.fixture(scope="module")
def gateway(sam: Sam) -> Iterator[str]:
    """Run `sam local start-api` and give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [SAM, "local", "start-api", "--port", str(port), "--warm-containers", "LAZY", *sam.options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        deadline = time.monotonic() + GATEWAY_START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, "sam local start-api ended at once"
            assert time.monotonic() < deadline, "sam local start-api does not come up"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        # So that it removes its containers. Not SIGINT: whoever runs the tests in the background has it ignored.
        process.terminate()
        try:
            process.wait(GATEWAY_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def call(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[int, dict[str, Any]]:
    """Make an HTTP request; return the status and the parsed body."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def subscription(servers: LocalServers, organization_id: str) -> dict[str, Any] | None:
    client = tables.client_for(servers.dynamodb_endpoint)
    key = {"organization_id": {"S": organization_id}}
    return client.get_item(TableName="SubscriptionsTable", Key=key, ConsistentRead=True).get("Item")


# In the order in which they stand: metering sends what reconciliation compares.


def test_the_metering_function_sends_the_hour_that_is_due(sam: Sam, servers: LocalServers) -> None:
    summary = sam.invoke("UsageMeteringFunction", EVENTS / "usage_metering" / "scheduled.json")

    assert (summary["hours"], summary["settled"], summary["events_sent"]) == (1, 1, 2)
    account = servers.simulator.account
    # One hour was billed before; this is the other one.
    assert list(account.hourly("cus_local", "temperature_readings").values()) == [READINGS, READINGS]
    assert list(account.hourly("cus_local", "active_sensors").values()) == [SENSORS, SENSORS]


def test_the_ingestion_function_counts_what_arrives_once(sam: Sam, servers: LocalServers) -> None:
    event = usage_message(EVENTS / "usage_ingestion" / "list.json", clock.utc_now())
    start = json.loads(event["Records"][0]["body"])[0]["time"]
    key = {"organization_id": {"S": ORGANIZATION}, "window_start": {"S": f"{start[:13]}:00:00Z"}}
    client = tables.client_for(servers.dynamodb_endpoint)
    before = client.get_item(TableName="UsageTable", Key=key).get("Item", {})

    for _ in range(2):
        assert sam.invoke("UsageIngestionFunction", event) == {"batchItemFailures": []}

    after = client.get_item(TableName="UsageTable", Key=key, ConsistentRead=True)["Item"]
    assert int(after["temperature_readings"]["N"]) - int(before.get("temperature_readings", {"N": "0"})["N"]) == 5


def test_the_worker_finds_nothing_left_of_its_shard(sam: Sam) -> None:
    response = sam.invoke("UsageMeteringWorkerFunction", EVENTS / "usage_metering" / "shard_message.json")

    assert response == {"batchItemFailures": []}


def test_the_reconciliation_function_finds_stripe_and_the_table_equal(sam: Sam) -> None:
    summary = sam.invoke("UsageReconciliationFunction", EVENTS / "usage_reconciliation" / "scheduled.json")

    assert (summary["hours"], summary["drift_events"], summary["failures"]) == (1, 0, 0)


def test_the_reconciliation_function_works_off_a_message(sam: Sam) -> None:
    response = sam.invoke("UsageReconciliationFunction", EVENTS / "usage_reconciliation" / "meter_message.json")

    assert response == {"batchItemFailures": []}


def test_the_function_of_events_puts_them_on_the_bus(sam: Sam, servers: LocalServers) -> None:
    response = sam.invoke("BillingEventsFunction", EVENTS / "billing_events" / "subscription_past_due.json")

    assert response == {"batchItemFailures": []}
    assert [event["detail-type"] for event in servers.bus.events] == ["SubscriptionChanged", "AccessChanged"]


def test_the_billing_api_answers(sam: Sam) -> None:
    response = sam.invoke("BillingApiFunction", EVENTS / "billing_api" / "get_usage.json")

    assert response["statusCode"] == 200, response["body"]


def test_the_webhook_function_takes_an_event_that_is_signed_now(sam: Sam) -> None:
    body = event_body(EVENTS / "stripe" / "customer_subscription_updated.json", int(time.time()))
    event = http_event(body, sign(body, secret_of(body)), base64_encoded=True)

    response = sam.invoke("StripeWebhookFunction", event)

    assert (response["statusCode"], json.loads(response["body"])) == (200, {"outcome": "processed"})


def test_make_invoke_webhook_signs_and_pipes(sam: Sam) -> None:
    ran = subprocess.run(
        [
            "make",
            "--silent",
            "invoke-webhook",
            "EVENT=events/stripe/customer_created.json",
            f"SAM_LOCAL={' '.join(sam.options)}",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        # The settings of these tests are not those of the servers.
        env={name: value for name, value in os.environ.items() if not name.startswith("STRIPE_")},
        timeout=180,
    )

    assert ran.returncode == 0, ran.stderr
    response = json.loads(ran.stdout.splitlines()[-1])
    assert (response["statusCode"], json.loads(response["body"])) == (200, {"outcome": "ignored"})


@pytest.mark.parametrize("path", sorted((EVENTS / "stripe").glob("*.json")), ids=lambda path: path.stem)
def test_every_stripe_event_passes_the_gateway(gateway: str, path: Path) -> None:
    body = event_body(path, int(time.time()))
    headers = {"Content-Type": "application/json", "Stripe-Signature": sign(body, secret_of(body))}

    status, response = call(f"{gateway}/stripe/webhook", body, headers)

    assert status == 200, response
    assert response["outcome"] in ("processed", "duplicate", "ignored")


@pytest.mark.parametrize("headers", [{}, {"Stripe-Signature": "t=1,v1=00"}], ids=["unsigned", "wrong"])
def test_a_wrong_signature_gets_400_through_the_gateway(
    gateway: str, servers: LocalServers, headers: dict[str, str]
) -> None:
    body = event_body(EVENTS / "stripe" / "customer_subscription_deleted.json", int(time.time()))
    before = len(servers.simulator.requests)

    status, response = call(f"{gateway}/stripe/webhook", body, {"Content-Type": "application/json", **headers})

    assert status == 400
    assert set(response) == {"error"}
    assert len(servers.simulator.requests) == before


def test_the_simulator_delivers_a_checkout_to_the_gateway(gateway: str, servers: LocalServers) -> None:
    webhooks = servers.simulator.webhooks
    for destination in webhooks.destinations.values():
        destination.url = f"{gateway}/stripe/webhook"
    webhooks.start_automatic()
    try:
        session = servers.simulator.account.complete_checkout_session(servers.stack.open_checkout("org-gateway"))
        deadline = time.monotonic() + 60
        while not (record := subscription(servers, "org-gateway")) or "stripe_subscription_id" not in record:
            assert time.monotonic() < deadline, [delivery.summary() for delivery in webhooks.deliveries.values()]
            time.sleep(0.2)
    finally:
        webhooks.start_manual()

    assert record["stripe_subscription_id"]["S"] == session["subscription"]
    assert record["status"]["S"] == "active"


@pytest.mark.parametrize("path", sorted((EVENTS / "billing_api").glob("*.json")), ids=lambda path: path.stem)
def test_the_billing_api_answers_through_the_gateway(gateway: str, path: Path) -> None:
    event = json.loads(path.read_text(encoding="utf-8"))
    body = event["body"].encode() if "body" in event else None

    method = event["requestContext"]["http"]["method"]
    status, response = call(f"{gateway}{event['rawPath']}", body, {"Content-Type": "application/json"}, method)

    assert status == (201 if path.stem.startswith("open_") else 200), response
    assert response.get("organization_id", ORGANIZATION) == ORGANIZATION
